package lockout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"krealm/dumpfmt"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

const at = kdctest.At

// TestLocked is the decision of section 4.11.
func TestLocked(t *testing.T) {
	two := &dumpfmt.Policy{MaxFail: 2}
	timed := &dumpfmt.Policy{MaxFail: 2, LockoutDuration: 30}
	for _, c := range []struct {
		name     string
		l        dumpfmt.Lockout
		pol      *dumpfmt.Policy
		unlocked uint32
		want     bool
	}{
		{"no limit", dumpfmt.Lockout{FailCount: 99, LastFailed: at}, &dumpfmt.Policy{}, 0, false},
		{"below the limit", dumpfmt.Lockout{FailCount: 1, LastFailed: at}, two, 0, false},
		{"at the limit, for ever", dumpfmt.Lockout{FailCount: 2, LastFailed: 1}, two, 0, true},
		{"within the duration", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 29}, timed, 0, true},
		{"after the duration", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 30}, timed, 0, false},
		{"unlocked since", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 5}, two, at - 5, false},
		{"failed again since", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 5}, two, at - 6, true},
		{"duration beyond 2106", dumpfmt.Lockout{FailCount: 2, LastFailed: 1<<32 - 1}, timed, 0, true},
	} {
		if got := locked(c.l, c.pol, c.unlocked, at); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestNext is the write-back of section 4.11.
func TestNext(t *testing.T) {
	pol := &dumpfmt.Policy{MaxFail: 2, FailInterval: 60, LockoutDuration: 30}
	for _, c := range []struct {
		name     string
		l        dumpfmt.Lockout
		pol      *dumpfmt.Policy
		unlocked uint32
		failure  bool
		want     dumpfmt.Lockout
	}{
		{"failure without a policy counts", dumpfmt.Lockout{FailCount: 7, LastFailed: 5}, nil, 0, true, dumpfmt.Lockout{FailCount: 8, LastFailed: at}},
		{"failure", dumpfmt.Lockout{FailCount: 1, LastFailed: at - 60}, pol, 0, true, dumpfmt.Lockout{FailCount: 2, LastFailed: at}},
		{"failure after the interval", dumpfmt.Lockout{FailCount: 1, LastFailed: at - 61}, pol, 0, true, dumpfmt.Lockout{FailCount: 1, LastFailed: at}},
		{"failure after an unlock", dumpfmt.Lockout{FailCount: 1, LastFailed: at - 9}, pol, at - 9, true, dumpfmt.Lockout{FailCount: 1, LastFailed: at}},
		{"failure while locked is not written", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 9}, pol, 0, true, dumpfmt.Lockout{FailCount: 2, LastFailed: at - 9}},
		{"failure after the lockout", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 30}, pol, 0, true, dumpfmt.Lockout{FailCount: 3, LastFailed: at}},
		{"success", dumpfmt.Lockout{FailCount: 1, LastFailed: 9}, pol, 0, false, dumpfmt.Lockout{LastFailed: 9, LastSuccess: at}},
	} {
		if got, _ := Next(c.l, c.pol, c.unlocked, c.failure, time.Unix(at, 0)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// store records what is written.
type store struct {
	mu      sync.Mutex
	batches []map[string]dumpfmt.Lockout
	err     error
}

func (s *store) write(_ context.Context, b map[string]dumpfmt.Lockout) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, b)
	return nil
}

func (s *store) written() []map[string]dumpfmt.Lockout {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func keeper(t *testing.T) (*Keeper, *store, *realm.Realm, *kdctest.Memory) {
	t.Helper()
	r, m, _ := kdctest.Realm(t, "A.TEST")
	s := new(store)
	return NewKeeper(r, m, s.write, func(error) {}), s, r, m
}

func note(failure bool, sec int64) exchange.Note {
	return exchange.Note{Name: "lpuser@A.TEST", Failure: failure, When: time.Unix(at+sec, 0)}
}

// TestLockingAnAccount walks through the recorded case: two failures lock the account of a policy
// with max_fail 2 and a duration of 30 s; the entry is free again after that.
func TestLockingAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s, r, m := keeper(t)
		m.SetLockout("lpuser@A.TEST", dumpfmt.Lockout{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		e, _ := r.Named("lpuser@A.TEST")
		k.Record(note(true, 0))
		if Locked(r, e, at) {
			t.Error("locked after one failure")
		}
		k.Record(note(true, 1))
		if !Locked(r, e, at+1) || !Locked(r, e, at+30) || Locked(r, e, at+31) {
			t.Error("lockout does not last from the second failure for 30 s")
		}
		k.Record(note(false, 40))
		if l := r.Lockout(e); l.FailCount != 0 || l.LastSuccess != at+40 {
			t.Errorf("after a success: %+v", l)
		}
		<-time.After(time.Second) // of the fake clock: the batch is written
		if b := s.written(); len(b) != 1 || len(b[0]) != 1 || b[0]["lpuser@A.TEST"].LastSuccess != at+40 {
			t.Errorf("written: %+v", b)
		}
		k.Record(note(true, 50))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if b := s.written(); len(b) != 2 {
			t.Errorf("what was left at the end: %+v", b)
		}
	})
}

// TestFailedWritesAreTriedAgain: what is newer counts.
func TestFailedWritesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s, _, _ := keeper(t)
		s.err = errors.New("disk full")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		k.Record(note(true, 0))
		<-time.After(time.Second)
		k.Record(note(true, 70))
		s.mu.Lock()
		s.err = nil
		s.mu.Unlock()
		<-time.After(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if b := s.written(); len(b) != 1 || b[0]["lpuser@A.TEST"].LastFailed != at+70 {
			t.Errorf("%+v", b)
		}
	})
}

func TestSwitches(t *testing.T) {
	for _, c := range []struct {
		name                string
		noLockout, noSucces bool
		failure             bool
		want                dumpfmt.Lockout
	}{
		{"all on, failure", false, false, true, dumpfmt.Lockout{FailCount: 2, LastFailed: at}},
		{"no lockout, failure", true, false, true, dumpfmt.Lockout{FailCount: 1}},
		{"no lockout, success", true, false, false, dumpfmt.Lockout{FailCount: 1, LastSuccess: at}},
		{"no last success, success", false, true, false, dumpfmt.Lockout{}},
		{"nothing", true, true, false, dumpfmt.Lockout{FailCount: 1}},
	} {
		k, _, r, m := keeper(t)
		r.DisableLockout, r.DisableSuccess = c.noLockout, c.noSucces
		m.SetLockout("pre@A.TEST", dumpfmt.Lockout{FailCount: 1})
		k.Record(exchange.Note{Name: "pre@A.TEST", Failure: c.failure, When: time.Unix(at, 0)})
		if got, _ := m.Lockout("pre@A.TEST"); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestUnknownEntriesAreIgnored(t *testing.T) {
	k, _, _, _ := keeper(t)
	k.Record(exchange.Note{Name: "gone@A.TEST", Failure: true})
}
