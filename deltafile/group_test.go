package deltafile

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSyncIsShared: while one sync is under way, all who come are served by the one after it.
func TestSyncIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		a := openMem(t, m)
		ctx := t.Context()
		if err := a.Reset(ctx, testBase()); err != nil {
			t.Fatal(err)
		}
		const n = 16
		css := testChain(t, testBase(), n)
		syncs := 0
		m.before = func(op, _ string) error {
			if op == "sync" {
				syncs++
				<-time.After(time.Millisecond) // the disk works
			}
			return nil
		}
		start := time.Now()
		var wg sync.WaitGroup
		for i := range n {
			if _, err := a.AppendRaw(ctx, css[i:i+1]); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := a.Sync(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if d := time.Since(start); syncs != 2 || d != 2*time.Millisecond {
			t.Errorf("%d syncs in %v for %d appends, want 2 in 2ms", syncs, d, n)
		}
		if err := a.Sync(); err != nil || syncs != 2 {
			t.Errorf("nothing new: %d syncs, %v", syncs, err)
		}
	})
}

// TestSyncWhileTheFileIsReplaced: the truncation ends while a sync of the old file runs.
func TestSyncWhileTheFileIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		a := openMem(t, m)
		ctx := t.Context()
		css := testChain(t, testBase(), 6)
		if err := a.Reset(ctx, testBase()); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			if _, err := a.AppendRaw(ctx, css[2*round:2*round+2]); err != nil {
				t.Fatal(err)
			}
			var held atomic.Bool
			hold := make(chan struct{})
			m.before = func(op, _ string) error {
				if op == "sync" && held.CompareAndSwap(false, true) {
					<-hold
				}
				return nil
			}
			done := make(chan error)
			go func() { done <- a.Sync() }()
			synctest.Wait()
			upto := uint64(2*round + 1)
			var err error
			switch round {
			case 0: // by the same Appender
				_, err = a.Truncate(ctx, testEpoch, upto)
			case 1: // by another process
				_, err = TruncateFS(ctx, m, "/d/delta", testEpoch, upto)
			case 2: // and found by the same Appender meanwhile
				_, err = TruncateFS(ctx, m, "/d/delta", testEpoch, upto)
				if err == nil {
					_, err = a.Last(ctx)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			close(hold)
			if err := <-done; err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if s, err := a.Last(ctx); err != nil || s.Serial != 6 {
			t.Error(s, err)
		}
	})
}

// TestCloseWhileSyncing: the sync ends in peace; who waits is told.
func TestCloseWhileSyncing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		a := openMem(t, m)
		if err := a.Reset(t.Context(), testBase()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.AppendRaw(t.Context(), testChain(t, testBase(), 1)); err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		m.before = func(op, _ string) error {
			if op == "sync" {
				<-hold
			}
			return nil
		}
		lead, wait := make(chan error, 1), make(chan error, 1)
		go func() { lead <- a.Sync() }()
		synctest.Wait()
		go func() { wait <- a.Sync() }()
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := <-wait; !errors.Is(err, ErrClosed) {
			t.Error("who waited:", err)
		}
		close(hold)
		<-lead
	})
}

// TestAppendersTakeTurns lets goroutines and Appenders append, sync and truncate one file while a
// tail follows it: nothing is lost, doubled or out of order.
func TestAppendersTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	o := newOutbox(testBase())
	const writers, each = 6, 60
	tail, err := OpenTail(path, State{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var apps [2]*Appender
	for i := range apps {
		if apps[i], err = OpenAppender(path, AppenderOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var wg, cutter sync.WaitGroup
	for w := range writers {
		a := apps[w%2]
		wg.Go(func() {
			for i := range each {
				o.commit(t, 1)
				if _, err := a.Append(ctx, o.base, o.fetch); err != nil {
					t.Error(err)
					return
				}
				if i%7 == 0 {
					if err := a.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	cutter.Go(func() {
		for ctx.Err() == nil {
			if acked := tail.Last(); !acked.IsZero() {
				_, err := Truncate(ctx, path, testEpoch, acked.Serial)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		}
	})
	var got []*Changeset
	for len(got) < writers*each && !t.Failed() {
		css, err := tail.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, css...)
	}
	wg.Wait()
	for i, cs := range got {
		if !bytes.Equal(cs.Raw, o.css[i].Raw) {
			t.Fatalf("changeset %d at place %d", cs.Serial, i+1)
		}
	}
	cancel()
	cutter.Wait()
	if r, err := Check(path); err != nil || r.Last != o.state() || r.Torn() != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := errors.Join(tail.Close(), apps[0].Close(), apps[1].Close()); err != nil {
		t.Error(err)
	}
}
