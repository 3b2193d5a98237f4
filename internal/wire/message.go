package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Version is the version of the conversation described by these messages, and the only one.
const Version = 1

// Limits, in octets.
const (
	MaxData    = 256 << 10 // of delta file or snapshot in one message
	MaxText    = 1024      // of a reason or name
	MaxMessage = MaxData + 64 + 2*MaxText
)

// Kind is the first octet of a message.
type Kind uint8

// The kinds of messages.
const (
	KindHello Kind = iota + 1
	KindRecords
	KindAck
	KindSnapshotBegin
	KindSnapshotChunk
	KindSnapshotEnd
	KindHeartbeat
	KindError
	KindBye
	KindInspect
	KindListing
	KindSums
)

var kindNames = [...]string{"", "hello", "records", "ack", "snapshot begin", "snapshot chunk",
	"snapshot end", "heartbeat", "error", "bye", "inspect", "listing", "sums"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Reasons for which a message is refused.
var (
	ErrTruncated = errors.New("wire: message too short")
	ErrTrailing  = errors.New("wire: octets after the last field")
	ErrKind      = errors.New("wire: unknown kind of message")
	ErrValue     = errors.New("wire: value out of range")
	ErrTooLong   = errors.New("wire: message too long")
)

// Message is one of the pointer types of this package.
type Message interface {
	Kind() Kind
	// Append appends the encoding to dst. Texts longer than MaxText are cut; Data longer
	// than MaxData panics, for the sender decides how much it sends.
	Append(dst []byte) []byte
	parse(r *reader)
}

// Parse decodes one message. Errors wrap one of the sentinels of this package.
func Parse(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, ErrTruncated
	}
	if len(b) > MaxMessage {
		return nil, ErrTooLong
	}
	var m Message
	switch Kind(b[0]) {
	case KindHello:
		m = new(Hello)
	case KindRecords:
		m = new(Records)
	case KindAck:
		m = new(Ack)
	case KindSnapshotBegin:
		m = new(SnapshotBegin)
	case KindSnapshotChunk:
		m = new(SnapshotChunk)
	case KindSnapshotEnd:
		m = new(SnapshotEnd)
	case KindHeartbeat:
		m = new(Heartbeat)
	case KindError:
		m = new(Error)
	case KindBye:
		m = new(Bye)
	case KindInspect:
		m = new(Inspect)
	case KindListing:
		m = new(Listing)
	case KindSums:
		m = new(Sums)
	default:
		return nil, fmt.Errorf("%w: %d", ErrKind, b[0])
	}
	r := reader{b: b[1:]}
	m.parse(&r)
	if r.err == nil && len(r.b) > 0 && m.Kind() != KindHello {
		r.err = ErrTrailing
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %v", r.err, m.Kind())
	}
	return m, nil
}

// clean makes a text from anywhere fit for a message, a log line and a terminal: control
// characters and octets that are not UTF-8 become "?", and what is too long is cut.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return s
}
