package spake

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
)

// Transcript is the running hash over the messages of an exchange (RFC 9588 section 6); nil is
// the beginning.
type Transcript []byte

// Transcript goes on with a step: the support message, empty if there was none, and the
// challenge; then the client's public value.
func (e *Exchange) Transcript(t Transcript, parts ...[]byte) Transcript {
	if t == nil {
		t = make(Transcript, len(e.params.hash()))
	}
	return e.params.hash(append([][]byte{t}, parts...)...)
}

func sum(h hash.Hash, parts [][]byte) []byte {
	for _, p := range parts {
		_, _ = h.Write(p) // never fails
	}
	return h.Sum(nil)
}

func sha256of(parts ...[]byte) []byte { return sum(sha256.New(), parts) }
func sha384of(parts ...[]byte) []byte { return sum(sha512.New384(), parts) }
func sha512of(parts ...[]byte) []byte { return sum(sha512.New(), parts) }

func appendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// State is what a KDC must know when the client's response comes. It travels in the cookie,
// sealed, so that any KDC of the realm can take the response. Its form is MIT krb5's, stage 0
// (src/plugins/preauth/spake/spake_kdc.c).
type State struct {
	Group      Group
	Private    []byte     // the KDC's private number
	Transcript Transcript // over support and challenge
}

const (
	stateVersion = 1
	stateStage   = 0 // a challenge was sent; later stages need a second factor
)

// Append appends the state: 16-bit version and stage, 32-bit group, then the private number and
// the hash, each behind its 32-bit length; big end first.
func (s *State) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, stateVersion)
	dst = binary.BigEndian.AppendUint16(dst, stateStage)
	dst = appendUint32(dst, uint32(s.Group))
	for _, b := range [][]byte{s.Private, s.Transcript} {
		dst = append(appendUint32(dst, uint32(len(b))), b...)
	}
	return dst
}

// ParseState reads what Append wrote; ErrState, ErrGroup. It aliases b.
func ParseState(b []byte) (*State, error) {
	head := binary.BigEndian.AppendUint16(nil, stateVersion)
	head = binary.BigEndian.AppendUint16(head, stateStage)
	rest, ok := bytes.CutPrefix(b, head)
	if !ok || len(rest) < 4 {
		return nil, fmt.Errorf("%w: not of version %d, stage %d", ErrState, stateVersion, stateStage)
	}
	s := &State{Group: Group(binary.BigEndian.Uint32(rest))}
	p := groups[s.Group]
	if p == nil {
		return nil, fmt.Errorf("%w: %d", ErrGroup, int32(s.Group))
	}
	rest = rest[4:]
	var fields [2][]byte
	for i := range fields {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, fmt.Errorf("%w: too short", ErrState)
		}
		n := binary.BigEndian.Uint32(rest)
		fields[i], rest = rest[4:4+n:4+n], rest[4+n:]
	}
	if len(rest) > 0 || len(fields[0]) != p.size || len(fields[1]) != len(p.hash()) {
		return nil, fmt.Errorf("%w: lengths do not fit %v", ErrState, s.Group)
	}
	s.Private, s.Transcript = fields[0], fields[1]
	return s, nil
}
