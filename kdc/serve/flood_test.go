package serve

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
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
