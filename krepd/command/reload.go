package command

import (
	"errors"
	"slices"

	"krealm/internal/daemon"
)

// reread names the settings that SIGHUP changes in a running krepd: who may feed it. All others, where
// files are and what is listened on, are those of the start.
var reread = []string{"allow", "connect"}

// markReread says of each setting that SIGHUP reads again that it does. A flag stays what it is.
func (s *settings) markReread() {
	for i := range s.Shown {
		if set := &s.Shown[i]; slices.Contains(reread, set.Name) && set.Source != daemon.FromFlag {
			set.Source += "; read again on SIGHUP"
		}
	}
}

var errOtherRealm = errors.New("the configuration is of another realm now: that needs a restart")

// reload takes up what the files say now. Files that are not understood, or would not let krepd start,
// change nothing; what cannot change without a restart is named. A stream goes on unless its feeder
// is no longer allowed.
func (d *krepd) reload() {
	s, err := d.s.again()
	if err == nil {
		err = s.validate()
	}
	if err == nil && s.Realm.Name != d.s.Realm.Name {
		err = errOtherRealm
	}
	if err == nil {
		err = d.connector.prepare(s)
	}
	if err != nil {
		d.log.Error().Err(err).Msg("configuration not taken up, the old settings stay")
		return
	}
	for _, now := range s.Shown {
		if slices.Contains(reread, now.Name) {
			continue
		}
		if i := slices.IndexFunc(d.s.Shown, func(o daemon.Setting) bool { return o.Name == now.Name }); i < 0 || d.s.Shown[i].Value != now.Value {
			e := d.log.Warn().Str("setting", now.Name).Str("configured", now.Value)
			if i >= 0 {
				e = e.Str("in_force", d.s.Shown[i].Value)
			}
			e.Msg("a setting has changed that needs a restart of krepd")
		}
	}
	d.live.Store(s)
	masters := make([]string, 0, len(s.connect))
	for _, m := range s.connect {
		masters = append(masters, m.Name())
	}
	d.log.Info().Strs("allow", s.allow).Strs("connect", masters).Msg("configuration read again")
	d.receiver.Recheck()
	d.connector.ringUp()
}
