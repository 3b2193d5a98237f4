package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/kdc/kdb"
)

type fakeVerifier struct {
	mu      sync.Mutex
	stamp   string
	recent  bool
	err     error
	take    time.Duration
	looked  []time.Duration
	start   time.Time
	looking func()
	a       *Applier
}

func (v *fakeVerifier) Stamp() (string, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stamp, !v.recent, nil
}

func (v *fakeVerifier) VerifyDigest(context.Context) error {
	v.mu.Lock()
	v.looked = append(v.looked, time.Since(v.start))
	err, take, looking := v.err, v.take, v.looking
	v.mu.Unlock()
	<-time.After(take)
	if looking != nil {
		looking()
	}
	return err
}

// verify runs Verify for a while of a fake clock.
func verify(t *testing.T, v *fakeVerifier, d time.Duration, also func()) *Applier {
	t.Helper()
	a := New(&fakeDB{}, nil, zerolog.Nop())
	a.setApplied(deltafile.Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0)))
	v.a = a
	ctx, cancel := context.WithCancel(t.Context())
	v.start = time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.Verify(ctx, v, 5*time.Second); err != nil {
			t.Error(err)
		}
	})
	if also != nil {
		also()
	}
	<-time.After(d)
	cancel()
	wg.Wait()
	return a
}

func TestVerifyLooksWhenFilesHaveChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", recent: true}
		a := verify(t, v, 31*time.Second, func() {
			<-time.After(11 * time.Second)
			v.mu.Lock()
			v.recent = false
			v.mu.Unlock()
			<-time.After(20 * time.Second)
			v.mu.Lock()
			v.stamp = "two"
			v.mu.Unlock()
		})
		if len(v.looked) != 5 || v.looked[3] != 15*time.Second || v.looked[4] != 35*time.Second {
			t.Errorf("looked at %v", v.looked)
		}
		if a.Broken() != nil {
			t.Errorf("%+v", a.Broken())
		}
	})
}

func TestVerifyTakesLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", recent: true, take: time.Second}
		verify(t, v, 500*time.Second, nil)
		if len(v.looked) != 10 {
			t.Errorf("looked at %v", v.looked)
		}
	})
}

func TestVerifyFindsTampering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", err: kdb.ErrDigest}
		a := verify(t, v, 30*time.Second, nil)
		if b := a.Broken(); b == nil || !b.Diverged || len(v.looked) != 1 {
			t.Errorf("%+v, looked at %v", b, v.looked)
		}
	})
}

// A file that the engine does not understand is not what the changes have made of it either: the slave says so and
// asks for a full copy, which replaces what is damaged.
func TestVerifyFindsDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", err: fmt.Errorf("db.sqlite: %w: malformed", kdb.ErrDamaged)}
		a := verify(t, v, 30*time.Second, nil)
		if b := a.Broken(); b == nil || b.Diverged || b.Serial != 0 || !strings.Contains(b.Reason, "db.sqlite: database file is damaged: malformed") || len(v.looked) != 1 {
			t.Errorf("%+v, looked at %v", b, v.looked)
		}
	})
}

// What was read before a full copy came says nothing of what came with it.
func TestVerifyAndFullCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", err: kdb.ErrDigest}
		v.looking = func() {
			v.a.mu.Lock()
			v.a.copies++
			v.a.mu.Unlock()
		}
		a := verify(t, v, time.Second, nil)
		if a.Broken() != nil {
			t.Errorf("%+v", a.Broken())
		}
	})
}

func TestVerifyTroubleIsNoTampering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &fakeVerifier{stamp: "one", err: errors.New("disk I/O error")}
		a := verify(t, v, 11*time.Second, nil)
		if a.Broken() != nil || len(v.looked) != 3 {
			t.Errorf("%+v, looked at %v", a.Broken(), v.looked)
		}
	})
}

// A database that cannot be read through, because its file is damaged, say, does not fill the log.
func TestUnverifiedIsToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := New(&fakeDB{}, nil, zerolog.New(&log))
		a.setApplied(deltafile.Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0)))
		v := &fakeVerifier{stamp: "1", err: errors.New("malformed"), start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := a.Verify(ctx, v, 5*time.Second); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "could not be verified"); n == 0 || n > 20 {
			t.Errorf("told %d times in an hour", n)
		}
	})
}
