package lockout

import (
	"time"

	"krealm/dumpfmt"
	"krealm/kdc/realm"
)

// Locked reports whether policy keeps a client out at a time. It reads the fields of the
// database only if there is a policy that locks.
func Locked(r *realm.Realm, client *realm.Entry, now int64) bool {
	if r.DisableLockout {
		return false
	}
	pol, ok := r.Policy(client)
	if !ok || pol.MaxFail == 0 {
		return false
	}
	return locked(r.Lockout(client), pol, client.LastAdminUnlock(), now)
}

func locked(l dumpfmt.Lockout, pol *dumpfmt.Policy, unlocked uint32, now int64) bool {
	if pol.MaxFail == 0 || l.FailCount < pol.MaxFail || unlocked != 0 && l.LastFailed <= unlocked {
		return false
	}
	return pol.LockoutDuration == 0 || int64(l.LastFailed)+int64(pol.LockoutDuration) > now
}

// Next returns the fields after one more login. pol is nil for an entry without a policy.
// changed is false if there is nothing to write: an entry that is locked stays as it is.
func Next(l dumpfmt.Lockout, pol *dumpfmt.Policy, unlocked uint32, failure bool, when time.Time) (next dumpfmt.Lockout, changed bool) {
	now := when.Unix()
	if pol != nil && locked(l, pol, unlocked, now) {
		return l, false
	}
	next = l
	if !failure {
		next.FailCount, next.LastSuccess = 0, uint32(now)
		return next, next != l
	}
	stale := pol != nil && pol.FailInterval != 0 && int64(l.LastFailed)+int64(pol.FailInterval) < now
	if unlocked != 0 && l.LastFailed <= unlocked || stale {
		next.FailCount = 0
	}
	next.LastFailed, next.FailCount = uint32(now), next.FailCount+1
	return next, true
}
