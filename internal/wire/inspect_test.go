package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestItems(t *testing.T) {
	want := []Item{{1, hash, "a@R"}, {2, [32]byte{}, ""}, {1, hash, "\xff\n\x00"}, {2, hash, strings.Repeat("n", 1000)}}
	var data []byte
	for i := range want {
		data = want[i].Append(data)
	}
	var got []Item
	if err := (&Listing{Data: data}).Items(func(it Item) { got = append(got, it) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d items", len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	one := want[0].Append(nil)
	long := bytes.Clone(one)
	binary.BigEndian.PutUint32(long[33:], 1<<31)
	kind := bytes.Clone(one)
	kind[0] = 3
	for name, c := range map[string]struct {
		data []byte
		want error
	}{"cut": {one[:len(one)-1], ErrTruncated}, "head": {one[:5], ErrTruncated}, "long": {long, ErrTooLong}, "kind": {kind, ErrValue}} {
		n := 0
		if err := (&Listing{Data: c.data}).Items(func(Item) { n++ }); !errors.Is(err, c.want) || n > 0 {
			t.Errorf("%s: %v, %d items", name, err, n)
		}
	}
}

func TestPartSet(t *testing.T) {
	var s PartSet
	if !s.Empty() {
		t.Error("not empty")
	}
	for _, p := range []int{0, 7, 8, 255} {
		s.Add(p)
	}
	for p := range Parts {
		if want := p == 0 || p == 7 || p == 8 || p == 255; s.Has(p) != want {
			t.Errorf("%d: %v", p, s.Has(p))
		}
	}
}
