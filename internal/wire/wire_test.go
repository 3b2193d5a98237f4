package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

var hash = [32]byte{0: 0xd2, 31: 0xe1}

var samples = []Message{
	&Hello{MinVersion: 1, MaxVersion: 2, Role: Slave, WantSnapshot: true, Realm: "EXAMPLE.ORG",
		Point: Point{Epoch: 0x5f0c1d2e3a4b5c6d, Serial: 7, Hash: hash}, Applied: 6, Reason: "record 8: no such policy"},
	&Hello{MinVersion: 1, MaxVersion: 1, Role: Feeder, Realm: "R"},
	&Records{Last: 9, Data: []byte("begin\t8\t…")},
	&Ack{Epoch: 1, Spooled: 9, Applied: 8},
	&SnapshotBegin{Base: Point{Epoch: 1, Serial: 2, Hash: hash}, Size: 1 << 40},
	&SnapshotChunk{Offset: 3, Data: bytes.Repeat([]byte{7}, MaxData)},
	&SnapshotEnd{Size: 1 << 40},
	&Heartbeat{Epoch: 1, Serial: 9, HasDigest: true, Digest: hash},
	&Error{Reason: ReasonBroken, Serial: 8, Text: "no such policy"},
	&Bye{Text: "shutting down"},
	&Inspect{ID: 3, Epoch: 1, Serial: 9, Parts: PartSet{0: 0x81, 31: 1}},
	&Listing{ID: 3, Data: (&Item{Kind: 2, Name: "staff", Hash: hash}).Append(nil)},
	&Sums{ID: 3, Epoch: 1, Serial: 9, Kept: hash, Count: 200, Parts: [Parts][32]byte{7: hash}},
	&Sums{ID: 4, Problem: "no content yet"},
}

func TestRoundTrip(t *testing.T) {
	for _, m := range samples {
		b := m.Append([]byte("before"))
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%v: Append does not append", m.Kind())
		}
		got, err := Parse(b[6:])
		if err != nil {
			t.Fatalf("%v: %v", m.Kind(), err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%v: got %+v, want %+v", m.Kind(), got, m)
		}
		for i := range min(len(b)-6, 300) {
			if i > 9 && (m.Kind() == KindSnapshotChunk || m.Kind() == KindRecords || m.Kind() == KindListing) {
				break // a shorter piece is a piece
			}
			if _, err := Parse(b[6 : 6+i]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%v cut at %d: %v", m.Kind(), i, err)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	hello := (&Hello{MinVersion: 1, MaxVersion: 1, Role: Slave, Realm: "R"}).Append(nil)
	with := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] = v
		return b
	}
	tests := []struct {
		name string
		b    []byte
		err  error
	}{
		{"nothing", nil, ErrTruncated},
		{"kind 0", []byte{0}, ErrKind},
		{"kind 200", []byte{200, 1, 2}, ErrKind},
		{"trailing", append((&Ack{}).Append(nil), 0), ErrTrailing},
		{"versions reversed", with(hello, 2, 9), ErrValue},
		{"no such role", with(hello, 5, 3), ErrValue},
		{"boolean of 2", with(hello, 6, 2), ErrValue},
		{"control character in a text", with((&Bye{Text: "x"}).Append(nil), 3, '\n'), ErrValue},
		{"text that is not UTF-8", with((&Bye{Text: "x"}).Append(nil), 3, 0xff), ErrValue},
		{"text too long", append([]byte{byte(KindBye), 4, 1}, strings.Repeat("x", 1025)...), ErrTooLong},
		{"empty records", []byte{byte(KindRecords), 0, 0, 0, 0, 0, 0, 0, 1}, ErrTruncated},
		{"too much data", append([]byte{byte(KindRecords), 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, MaxData+1)...), ErrTooLong},
		{"too long", make([]byte, MaxMessage+1), ErrTooLong},
		{"snapshot without size", (&SnapshotBegin{Base: Point{Epoch: 1}}).Append(nil), ErrValue},
		{"snapshot of no epoch", (&SnapshotBegin{Size: 1}).Append(nil), ErrValue},
		{"error without reason", (&Error{}).Append(nil), ErrValue},
	}
	for _, tt := range tests {
		if m, err := Parse(tt.b); !errors.Is(err, tt.err) || m != nil {
			t.Errorf("%s: got %v, %v, want %v", tt.name, m, err, tt.err)
		}
	}
}

// A later version may add fields to its Hello: this one must still see the version range.
func TestHelloOfLaterVersion(t *testing.T) {
	b := append((&Hello{MinVersion: 1, MaxVersion: 9, Role: Feeder, Realm: "R"}).Append(nil), "more"...)
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if h := m.(*Hello); h.MaxVersion != 9 || h.Realm != "R" {
		t.Errorf("%+v", h)
	}
}

func TestTextsAreCleaned(t *testing.T) {
	b := (&Error{Reason: ReasonInternal, Text: "a\x1b[31m\xff" + strings.Repeat("é", MaxText)}).Append(nil)
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.(*Error).Text; len(s) > MaxText || !strings.HasPrefix(s, "a?[31m?é") || !strings.HasSuffix(s, "é") {
		t.Errorf("%q… (%d octets)", s[:12], len(s))
	}
}

func TestNames(t *testing.T) {
	if KindAck.String() != "ack" || KindBye.String() != "bye" || Kind(77).String() != "kind 77" {
		t.Error("names of kinds")
	}
	if ReasonBroken.String() != "broken" || ReasonInternal.String() != "internal" || Reason(99).String() != "unknown" {
		t.Error("names of reasons")
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range samples {
		if b := m.Append(nil); len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again := m.Append(nil)
		if m.Kind() == KindHello {
			b = b[:min(len(b), len(again))]
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x encodes again as %x", b, again)
		}
	})
}
