package wire

import (
	"encoding/binary"
	"fmt"
)

// Parts is into how many parts the content of a database is cut when it is compared.
const Parts = 256

// PartSet is a set of parts.
type PartSet [Parts / 8]byte

// Add puts a part into the set.
func (s *PartSet) Add(part int) { s[part/8] |= 1 << (part % 8) }

// Has tells whether a part is in the set.
func (s *PartSet) Has(part int) bool { return s[part/8]&(1<<(part%8)) != 0 }

// Empty tells whether no part is.
func (s *PartSet) Empty() bool { return *s == PartSet{} }

// Inspect asks a slave for what its database holds, once it is at Serial of Epoch or beyond: the
// sums of all parts, and the entries of those in Parts. The slave answers with Listings, if there
// is anything to list, and a Sums, in this order and with this ID. A later Inspect takes the place
// of one that has not been answered.
type Inspect struct {
	ID     uint64
	Epoch  uint64
	Serial uint64
	Parts  PartSet
}

// Listing carries entries of the parts asked for, in no particular order: Data is the encodings of
// whole Items.
type Listing struct {
	ID   uint64
	Data []byte // 1 to MaxData octets
}

// Sums is what the slave's database holds at Serial of Epoch.
type Sums struct {
	ID      uint64
	Problem string   // for people; if not empty the rest says nothing
	Epoch   uint64   // may be another than asked for
	Serial  uint64   // at least the one asked for, if Epoch is
	Kept    [32]byte // the digest as the changes have left it
	Count   uint64   // entries
	Parts   [Parts][32]byte
}

// Item is one entry. Kind and Name say which part it belongs to.
type Item struct {
	Kind uint8 // 1 principal, 2 policy
	Hash [32]byte
	Name string
}

// MaxItemName bounds the name of an Item, in octets.
const MaxItemName = MaxData - 64

// Append appends the encoding; a longer name panics.
func (it *Item) Append(dst []byte) []byte {
	if len(it.Name) > MaxItemName {
		panic("wire: name of an item is longer than MaxItemName")
	}
	dst = append(dst, it.Kind)
	dst = append(dst, it.Hash[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(it.Name)))
	return append(dst, it.Name...)
}

// Items calls f for each Item of the Data.
func (m *Listing) Items(f func(Item)) error {
	r := reader{b: m.Data}
	for len(r.b) > 0 && r.err == nil {
		var it Item
		it.Kind = r.u8()
		it.Hash = r.hash()
		if n := r.take(4); n != nil {
			size := binary.BigEndian.Uint32(n)
			if size > MaxItemName {
				r.fail(ErrTooLong)
			}
			it.Name = string(r.take(int(min(size, MaxItemName))))
		}
		if it.Kind != 1 && it.Kind != 2 {
			r.fail(ErrValue)
		}
		if r.err == nil {
			f(it)
		}
	}
	if r.err != nil {
		return fmt.Errorf("%w: item of a listing", r.err)
	}
	return nil
}

// Kind returns KindInspect.
func (m *Inspect) Kind() Kind { return KindInspect }

// Append implements Message.
func (m *Inspect) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(KindInspect)), m.ID)
	dst = appendU64(appendU64(dst, m.Epoch), m.Serial)
	return append(dst, m.Parts[:]...)
}

func (m *Inspect) parse(r *reader) {
	m.ID, m.Epoch, m.Serial = r.u64(), r.u64(), r.u64()
	copy(m.Parts[:], r.take(len(m.Parts)))
}

// Kind returns KindListing.
func (m *Listing) Kind() Kind { return KindListing }

// Append implements Message.
func (m *Listing) Append(dst []byte) []byte {
	return appendData(appendU64(append(dst, byte(KindListing)), m.ID), m.Data)
}

func (m *Listing) parse(r *reader) {
	m.ID = r.u64()
	m.Data = r.data()
}

// Kind returns KindSums.
func (m *Sums) Kind() Kind { return KindSums }

// Append implements Message.
func (m *Sums) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(KindSums)), m.ID)
	dst = appendText(dst, m.Problem)
	dst = appendU64(appendU64(dst, m.Epoch), m.Serial)
	dst = append(dst, m.Kept[:]...)
	dst = appendU64(dst, m.Count)
	for i := range m.Parts {
		dst = append(dst, m.Parts[i][:]...)
	}
	return dst
}

func (m *Sums) parse(r *reader) {
	m.ID = r.u64()
	m.Problem = r.text()
	m.Epoch, m.Serial = r.u64(), r.u64()
	m.Kept = r.hash()
	m.Count = r.u64()
	for i := range m.Parts {
		m.Parts[i] = r.hash()
	}
}
