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
		r.log(l, &Refusal{Peer: fmt.Sprintf("[2001:db8:0:%x::1]:1", i), Err: ErrProtocol}, now)
	}
	if n := len(r.hosts.spells); n != maxSpells {
		t.Errorf("%d remembered", n)
	}
	if host("[2001:db8::1]:7") != host("[2001:db8::2]:8") || host("[2001:db8:1::1]:7") == host("[2001:db8::1]:7") || host("192.0.2.1:7") == host("192.0.2.2:7") ||
		host("[::ffff:192.0.2.1]:7") != host("192.0.2.1:9") || host("[fe80::1%eth0]:7") == host("[fe80::2%eth0]:7") {
		t.Error("hosts are mixed up")
	}
}

// A host that has more addresses than are remembered, and new words each time, neither fills the log nor keeps
// from it what is wrong with a client that has said who it is.
func TestRefusalsOfACrowd(t *testing.T) {
	for _, form := range []string{"[2001:db8::%x:%x]:1", "[2001:db8:%x:%x::1]:1"} {
		var out bytes.Buffer
		l := zerolog.New(&out)
		var r refusals
		now := time.Unix(1700000000, 0)
		for i := range 6 * 3600 * 5 { // for six hours
			now = now.Add(200 * time.Millisecond)
			r.log(l, &Refusal{Peer: fmt.Sprintf(form, i>>16, i&0xffff), Err: fmt.Errorf("preface %q: %w", fmt.Sprintf("%c%c", 'a'+i%26, 'a'+i/26%26), ErrProtocol)}, now)
			if i == 5*3600*5 {
				before := strings.Count(out.String(), "krep/a@R")
				r.log(l, &Refusal{Peer: "192.0.2.1:1", Client: "krep/a@R", Err: ErrNotAllowed}, now)
				if strings.Count(out.String(), "krep/a@R") == before {
					t.Error("a client with a name is not told of")
				}
			}
		}
		if n := strings.Count(out.String(), "\n"); n > maxSpells+40 {
			t.Errorf("%s: %d lines", form, n)
		}
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
