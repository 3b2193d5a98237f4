package stream

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"testing"
	"time"
)

// sink is a connection that keeps what is written.
type sink struct {
	net.Conn
	kept bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error)        { return s.kept.Write(p) }
func (s *sink) SetWriteDeadline(_ time.Time) error { return nil }

// FuzzFrames: whatever happens to sealed frames on their way - altered, cut, sent again, left out,
// in another order, with something in between - the receiver gets the first of them as they were
// sent, and then an error, which stays.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{1, 0, 0}, []byte("x"))
	f.Add([]byte{2, 0, 1, 3, 1, 0}, []byte{})
	f.Add([]byte{4, 2, 9, 0, 0, 0}, []byte{0, 0, 0, 16})
	f.Add([]byte{}, []byte("more"))
	const frames = 4
	f.Fuzz(func(t *testing.T, script, noise []byte) {
		var out sink
		a, b := bytes.Repeat([]byte{1}, keySize), bytes.Repeat([]byte{2}, keySize)
		near, err := newConn(&out, nil, a, b)
		if err != nil {
			t.Fatal(err)
		}
		var sent, sealed [][]byte
		for i := range frames {
			payload := bytes.Repeat([]byte{byte('a' + i)}, 7*i)
			before := out.kept.Len()
			if err := near.Send(payload); err != nil {
				t.Fatal(err)
			}
			sent, sealed = append(sent, payload), append(sealed, bytes.Clone(out.kept.Bytes()[before:]))
		}
		for script = script[:min(len(script), 24)]; len(script) >= 3; script = script[3:] { // 8 steps: 2 doubles
			i, v := int(script[1])%frames, int(script[2])
			switch g := sealed[i]; script[0] % 6 {
			case 0:
				if len(g) > 0 {
					g[v%len(g)] ^= byte(1 + v)
				}
			case 1:
				sealed[i] = g[:min(v, len(g))]
			case 2:
				sealed[i] = append(bytes.Clone(g), g...)
			case 3:
				sealed[i], sealed[v%frames] = sealed[v%frames], sealed[i]
			case 4:
				sealed[i] = append(bytes.Clone(noise), g...)
			case 5:
				sealed[i] = nil
			}
		}
		far, err := newConn(nil, bufio.NewReader(bytes.NewReader(append(bytes.Join(sealed, nil), noise...))), b, a)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			got, err := far.Receive()
			if err != nil {
				if _, again := far.Receive(); !errors.Is(again, err) {
					t.Fatalf("%v, then %v", err, again)
				}
				return
			}
			if i >= frames || !bytes.Equal(got, sent[i]) {
				t.Fatalf("frame %d: %q", i, got)
			}
		}
	})
}
