package interop

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/tests/testrealm"
)

const kadminActor = "tester/admin@" + testrealm.RealmName

var (
	longDate = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \w+ \d{4}`)
	unixDate = regexp.MustCompile(`\b[12]\d{9}\b`)
)

// aboutNow is how far two runs of the same command may lie apart.
const aboutNow = 10 * time.Minute

// timeless replaces times of this run, and those counted from it in whole days, by what they are
// relative to now.
func timeless(s string, now time.Time) string {
	relative := func(text string, t time.Time) string {
		d := t.Sub(now)
		days := d.Round(24 * time.Hour)
		if (d - days).Abs() > aboutNow {
			return text
		}
		return "NOW+" + strconv.Itoa(int(days.Hours()/24)) + "d"
	}
	s = longDate.ReplaceAllStringFunc(s, func(m string) string {
		t, err := time.ParseInLocation("Mon Jan 02 15:04:05 MST 2006", m, time.Local)
		if err != nil {
			return m
		}
		return relative(m, t)
	})
	return unixDate.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseInt(m, 10, 64)
		if err != nil {
			return m
		}
		return relative(m, time.Unix(n, 0))
	})
}

// TestKadminCommands gives the stock kadmin.local and ours the same commands and compares every
// word, and then the two databases entry by entry.
func TestKadminCommands(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	mit := must(r.AddHost("mit"))(t)
	check(t, testrealm.CopyFile(mit.Stash, f.Stash))
	stock(ctx, t, mit, "kdb5_util", "load", f.Dump)
	program := must(testrealm.Stock("kadmin.local"))(t)
	now := time.Now()
	said := func(res testrealm.Result, err error) string {
		check(t, err)
		out := strings.ReplaceAll(res.Stdout+"|"+res.Stderr+"|"+strconv.Itoa(res.Status), " for db2 while", " while")
		return timeless(out, now)
	}
	commands := 0
	for line := range strings.Lines(string(readFile(t, "testdata/kadmin.txt"))) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "#") {
			continue
		}
		commands++
		args := []string{"-r", testrealm.RealmName, "-p", kadminActor, "-q", line}
		want := said(mit.Run(ctx, "", program, args...))
		got := said(r.Master.Run(ctx, "", "kdc", append([]string{"kadmin.local"}, args...)...))
		if got != want {
			t.Errorf("%s\n got %q\nwant %q", line, got, want)
		}
	}
	if commands < 100 {
		t.Errorf("only %d commands", commands)
	}
	stock(ctx, t, mit, "kdb5_util", "dump", "after")
	res, err := ours(ctx, r.Master, "kdb5_util", "dump", "after")
	succeeds(t, res, err)
	got, want := entries(t, dumpFile(r.Master, "after"), now), entries(t, dumpFile(mit, "after"), now)
	for name, w := range want {
		if !reflect.DeepEqual(got[name], w) {
			t.Errorf("%s\n got %+v\nwant %+v", name, got[name], w)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is only in our database", name)
	}
}

// entries reads a dump and leaves out what two databases cannot have in common: key material and
// times of this run.
func entries(t *testing.T, file string, now time.Time) map[string]any {
	t.Helper()
	rd, err := dumpfmt.NewReader(bytes.NewReader(readFile(t, file)))
	check(t, err)
	recent := func(v uint32) uint32 {
		d := time.Unix(int64(v), 0).Sub(now)
		if days := d.Round(24 * time.Hour); v != 0 && (d-days).Abs() < aboutNow {
			return uint32(days.Hours() / 24)
		}
		return v
	}
	out := map[string]any{}
	for {
		rec, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		check(t, err)
		p, ok := rec.(*dumpfmt.Principal)
		if !ok {
			out["policy "+rec.(*dumpfmt.Policy).Name] = rec
			continue
		}
		data, err := p.KadmData()
		check(t, err)
		p.Expire, p.PwExpire = recent(p.Expire), recent(p.PwExpire)
		when, by, _ := p.ModPrinc()
		history := len(data.History)
		for i := range p.Keys {
			if k := &p.Keys[i]; k.SaltType == 4 && len(k.Salt) == 16 {
				k.Salt = []byte("random")
			}
			p.Keys[i].Sealed = nil
		}
		last, unlock := recent(p.LastPwdChange()), recent(p.LastAdminUnlock())
		types := []int16{}
		for i := range p.TL {
			types = append(types, p.TL[i].Type)
			switch p.TL[i].Type {
			case dumpfmt.TLLastPwdChange, dumpfmt.TLModPrinc, dumpfmt.TLKadmData, dumpfmt.TLLastAdminUnlock:
				p.TL[i].Data = nil
			}
		}
		data.History = nil
		if strings.HasPrefix(p.Name, "kadmin/history@") {
			p.Attributes, p.MaxLife = 0, 0 // MIT puts the attribute in the wrong field
		}
		out[p.Name] = []any{*p, types, recent(when), by, last, unlock, data, history}
	}
}
