package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/krep/slavelist"
)

// TestSeveralMasters: one stream at a time; who is not reached is followed by the next at once, who
// is reached is stayed with.
func TestSeveralMasters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		masters, err := parseMasters([]string{"a.example.org", "b.example.org", "c.example.org"}, "EXAMPLE.ORG")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // guards what follows
		up := map[string]bool{"b.example.org": true}
		var calls []string
		under := 0
		start := time.Now()
		c := &connector{masters: func() []slavelist.Slave { return masters }, log: zerolog.Nop()}
		c.serve = func(ctx context.Context, m slavelist.Slave, _ accept) error {
			mu.Lock()
			if under++; under > 1 {
				t.Error("two streams at a time")
			}
			calls = append(calls, fmt.Sprintf("%s %v", m.Host[:1], time.Since(start).Truncate(10*time.Second)))
			there := up[m.Host]
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				under--
			}()
			if !there {
				return errors.New("connection refused")
			}
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()
		defer func() { <-done }()
		<-time.After(90 * time.Second) // b, and b again after a minute
		mu.Lock()
		up = map[string]bool{"a.example.org": true}
		mu.Unlock()
		<-time.After(60 * time.Second) // b is lost at 120 s, c is not there either, a is
		mu.Lock()
		if want := []string{"a 0s", "b 0s", "b 1m0s", "b 2m0s", "c 2m0s", "a 2m0s"}; !slices.Equal(calls, want) {
			t.Errorf("%v\nwant %v", calls, want)
		}
		up, calls = nil, nil
		mu.Unlock()
		<-time.After(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if n := len(calls); n < 3*100 || n > 3*250 {
			t.Errorf("%d calls of three masters that are down for an hour", n)
		}
		cancel()
	})
}
