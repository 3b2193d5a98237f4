package serve

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"krealm/tests/kdctest"
)

// TestFloodOfLongMessages: who sends nothing but lengths that are too long fills no log.
func TestFloodOfLongMessages(t *testing.T) {
	_, log, _, tcp := start(t, nil)
	const sent = 300
	for range sent {
		c := dial(t, "tcp", tcp)
		if err := binary.Write(c, binary.BigEndian, uint32(1<<31)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil { // the error, and the end
			t.Fatal(err)
		}
		_ = c.Close()
	}
	lines := 0
	for _, l := range log.text() {
		if strings.Contains(l, "message too long") {
			lines++
		}
	}
	if lines == 0 || lines > sent/2 {
		t.Errorf("%d lines for %d messages", lines, sent)
	}
}

// TestFloodsOfEachKind: of whatever a peer can do at will there are so many lines a second and then a count, which
// also comes when nothing follows the flood.
func TestFloodsOfEachKind(t *testing.T) {
	limit, log := newLimits(), new(memLog)
	now := time.Unix(1000, 0)
	for _, l := range limit.all() {
		lines := 0
		for range 100 {
			l.line(log, now, func() { lines++ })
		}
		if lines != maxLines {
			t.Errorf("%s: %d lines", l.what, lines)
		}
	}
	limit.flush(log, now)
	if len(log.lines) != 0 {
		t.Errorf("told before the second was over: %q", log.lines)
	}
	limit.flush(log, now.Add(time.Second))
	limit.flush(log, now.Add(2*time.Second))
	if len(log.lines) != len(limit.all()) || !log.has("80 more connections were dropped without a line") {
		t.Errorf("told %q", log.lines)
	}
}

// TestRepeatedRequestsAreCounted: so it is with retransmissions, which are answered all the same.
func TestRepeatedRequestsAreCounted(t *testing.T) {
	d, log := recorded(t, kdctest.At)
	msg := goodRequest(1)
	for range 1000 {
		if d.answer(msg, peer, viaUDP) == nil {
			t.Fatal("no answer")
		}
	}
	if n := len(log.lines); n != maxLines {
		t.Errorf("%d lines", n)
	}
}

// TestTooManyConnections: connections beyond the limit, too.
func TestTooManyConnections(t *testing.T) {
	_, log, _, tcp := start(t, func(o *Options) { o.MaxConns = 1 })
	const opened = 100
	for range opened {
		dial(t, "tcp", tcp)
	}
	c := dial(t, "tcp", tcp)
	sendFrame(t, c, goodRequest(1))
	if got := summary(readFrame(t, c)); got != "AS-REP" {
		t.Errorf("the last one got %s", got)
	}
	lines := 0
	for _, l := range log.text() {
		if strings.Contains(l, "too many connections") {
			lines++
		}
	}
	if lines != maxLines { // the clock of the test stands still
		t.Errorf("%d lines for %d connections", lines, opened)
	}
}
