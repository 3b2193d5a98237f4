package interop

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/tests/testrealm"
)

// randomRecords makes records of every shape that the format can hold: odd bytes in names,
// all values of all fields, any tagged data, any keys.
type randomRecords struct{ *rand.Rand }

func (r randomRecords) bytes(most int) []byte {
	b := make([]byte, r.IntN(most))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r randomRecords) namePart() string {
	const letters = " a/@\\\t\n\b\x00\r\v\f-;1\xff\xc3tnb0"
	b := make([]byte, r.IntN(6))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func (r randomRecords) principal() *dumpfmt.Principal {
	n := dumpfmt.Name{Realm: r.namePart(), Components: []string{r.namePart()}}
	for range r.IntN(3) {
		n.Components = append(n.Components, r.namePart())
	}
	p := &dumpfmt.Principal{
		Name: n.String(), Attributes: r.Uint32(), MaxLife: int32(r.Uint32()), MaxRenewLife: int32(r.Uint32()),
		Expire: r.Uint32(), PwExpire: r.Uint32(),
		LastSuccess: r.Uint32(), LastFailed: r.Uint32(), FailCount: r.Uint32(),
	}
	for range r.IntN(4) {
		if t := int16(r.Uint32()); t != dumpfmt.TLDBArgs {
			p.TL = append(p.TL, dumpfmt.TL{Type: t, Data: r.bytes(40)})
		}
	}
	for range r.IntN(4) {
		k := dumpfmt.Key{Ver: int16(r.IntN(3)), Kvno: uint16(r.Uint32())}
		if k.Ver >= 1 {
			k.Enctype, k.Sealed = int16(r.Uint32()), r.bytes(80)
		}
		if k.Ver == 2 {
			k.SaltType, k.Salt = int16(r.Uint32()), r.bytes(20)
		}
		p.Keys = append(p.Keys, k)
	}
	p.SortKeys() // the order in which MIT prints them
	return p
}

func (r randomRecords) policy() *dumpfmt.Policy {
	name := []byte{'p'}
	for range r.IntN(6) {
		name = append(name, byte('!'+r.IntN('~'-'!')))
	}
	p := &dumpfmt.Policy{
		Name: string(name), MinLife: r.Uint32(), MaxLife: r.Uint32(), MinLength: r.Uint32(),
		MinClasses: r.Uint32(), History: r.Uint32(), MaxFail: r.Uint32(), FailInterval: r.Uint32(),
		LockoutDuration: r.Uint32(), Attributes: r.Uint32(), MaxTicketLife: r.Uint32(), MaxRenewLife: r.Uint32(),
	}
	if r.IntN(2) == 0 {
		p.KeySalts = "aes256-cts:normal,aes128-cts:special"
	}
	if r.IntN(2) == 0 {
		p.TL = []dumpfmt.TL{{Type: int16(r.IntN(30000)), Data: r.bytes(30)}}
	}
	return p
}

// dump writes the records in MIT's order.
func (r randomRecords) dump(t *testing.T, start []byte) []byte {
	t.Helper()
	principals := map[string]dumpfmt.Record{}
	policies := map[string]dumpfmt.Record{}
	in := must(dumpfmt.NewReader(bytes.NewReader(start)))(t)
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if p, ok := rec.(*dumpfmt.Principal); ok {
			principals[p.Name] = p
		}
	}
	for range 2000 {
		p := r.principal()
		principals[p.Name] = p
	}
	for range 200 {
		p := r.policy()
		policies[p.Name] = p
	}
	var out bytes.Buffer
	w := must(dumpfmt.NewWriter(&out, dumpfmt.Current))(t)
	for _, records := range []map[string]dumpfmt.Record{principals, policies} {
		for _, name := range slices.Sorted(maps.Keys(records)) {
			check(t, w.Write(records[name]))
		}
	}
	check(t, w.Flush())
	return out.Bytes()
}

// TestRandomRecordsThroughStock: whatever dumpfmt prints, stock kdb5_util loads, and prints
// again the same; but for names with white space in front, which it prints unguarded.
func TestRandomRecordsThroughStock(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := randomRecords{rand.New(rand.NewPCG(seed, 0))}
	ctx, realm := newRealm(t)
	f := fixture(t)
	check(t, testrealm.CopyFile(realm.Master.Stash, f.Stash))
	mine, theirs := dumpFile(realm.Master, "ours.dump"), dumpFile(realm.Master, "stock.dump")
	want := r.dump(t, readFile(t, f.Dump))
	writeFile(t, mine, want)
	stock(ctx, t, realm.Master, "kdb5_util", "load", mine)
	stock(ctx, t, realm.Master, "kdb5_util", "dump", theirs)

	in := must(dumpfmt.NewReader(bytes.NewReader(readFile(t, theirs))))(t)
	var got bytes.Buffer
	w := must(dumpfmt.NewWriter(&got, dumpfmt.Current))(t)
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		check(t, w.Write(rec))
	}
	check(t, w.Flush())
	identical(t, "stock dump of random records", got.Bytes(), want)
}
