package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestReplayCacheForgetsAndIsBounded(t *testing.T) {
	var c replayCache
	now := time.Unix(1700000000, 0)
	h := func(i int) (h [32]byte) { h[0], h[1], h[2] = byte(i), byte(i>>8), byte(i>>16); return h }
	for i := range maxReplays {
		if err := c.add(h(i), now.Add(time.Duration(i%100)*time.Second), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.add(h(maxReplays), now, now); !errors.Is(err, ErrBusy) {
		t.Errorf("full cache: %v", err)
	}
	if err := c.add(h(99), now.Add(time.Minute), now); !errors.Is(err, ErrReplay) {
		t.Errorf("seen before: %v", err)
	}
	if err := c.add(h(0), now.Add(time.Minute), now.Add(time.Second)); err != nil {
		t.Errorf("expired entry still there: %v", err)
	}
	if len(c.seen) != len(c.ends) {
		t.Errorf("%d hashes, %d expiries", len(c.seen), len(c.ends))
	}
}

func TestRefusalsAreSummarised(t *testing.T) {
	var out bytes.Buffer
	l := zerolog.New(&out)
	var r refusals
	now := time.Unix(1700000000, 0)
	for range refusalBurst + 500 {
		r.log(l, ErrProtocol, now)
	}
	if n := strings.Count(out.String(), "\n"); n != refusalBurst {
		t.Errorf("%d lines", n)
	}
	r.log(l, ErrProtocol, now.Add(time.Minute))
	if !strings.Contains(out.String(), `"connections":500`) {
		t.Error("the silent ones are not counted")
	}
}

// One that is refused every half minute is told three times, then once a minute, then once an hour; another one, and
// another reason, are told at once. What is remembered of them is bounded.
func TestRefusalsOfOneClient(t *testing.T) {
	var out bytes.Buffer
	l := zerolog.New(&out)
	var r refusals
	now := time.Unix(1700000000, 0)
	lines := func() int {
		defer out.Reset()
		return strings.Count(out.String(), "\n")
	}
	for i := range 24 * 120 {
		now = now.Add(30 * time.Second)
		r.log(l, &Refusal{Peer: fmt.Sprint("192.0.2.1:", 1024+i), Client: "krep/a@R", Err: ErrNotAllowed}, now)
	}
	if n := lines(); n < 30 || n > 40 {
		t.Errorf("%d lines in a day", n)
	}
	r.log(l, &Refusal{Peer: "192.0.2.1:1", Client: "krep/a@R", Err: ErrSkew}, now)
	r.log(l, &Refusal{Peer: "192.0.2.1:1", Err: ErrNoKey}, now)
	r.log(l, fmt.Errorf("%w: %w", ErrBusy, &Refusal{Peer: "192.0.2.2:1", Err: ErrNoKey}), now)
	if n := lines(); n != 3 {
		t.Errorf("%d lines of what is new", n)
	}
	for i := range 10 * maxSpells {
		r.log(l, &Refusal{Peer: fmt.Sprintf("[2001:db8::%x]:1", i), Err: ErrProtocol}, now)
	}
	if len(r.spells) > maxSpells {
		t.Errorf("%d remembered", len(r.spells))
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 1, 2, 3})
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := newConn(nil, bufio.NewReader(bytes.NewReader(b)), make([]byte, keySize), make([]byte, keySize))
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
	})
}
