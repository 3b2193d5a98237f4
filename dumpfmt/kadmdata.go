package dumpfmt

import (
	"encoding/binary"
	"errors"
)

// HistKey is one old key in a password history, sealed by the key of kadmin/history.
type HistKey = Key

// KadmAuxPolicy is the bit of KadmData.Aux that says that there is a policy.
const KadmAuxPolicy uint32 = 0x800

// KadmData is what kadmin keeps of a principal: its policy and its password history
// (tagged data of type 3; MIT krb5 src/lib/kadm5/admin_xdr.c).
type KadmData struct {
	Policy     string      // "": none
	Aux        uint32      // KadmAuxPolicy or 0
	OldKeyNext uint32      // slot of History to be written next
	HistKVNO   uint32      // kvno of kadmin/history that seals History; 2 if there is none yet
	History    [][]HistKey // one element a password, with one key for each enctype and salt
}

// SetPolicy sets the name and, with it, the bit that kadmin looks at; "" removes both.
func (k *KadmData) SetPolicy(name string) {
	k.Policy = name
	if name == "" {
		k.Aux &^= KadmAuxPolicy
	} else {
		k.Aux |= KadmAuxPolicy
	}
}

const (
	kadmVersion  = 0x12345C01
	firstHistory = 2 // HistKVNO of an entry without history
)

var errKadmData = errors.New("dumpfmt: damaged kadmin data")

// KadmData returns the decoded element of type 3. Without one it is a zero value with
// HistKVNO 2. The byte slices in it are not copies.
func (p *Principal) KadmData() (KadmData, error) {
	data, ok := p.FindTL(TLKadmData)
	if !ok {
		return KadmData{HistKVNO: firstHistory}, nil
	}
	return parseKadmData(data)
}

// SetKadmData sets the element of type 3. One too long for the format shows when the line
// is printed.
func (p *Principal) SetKadmData(k KadmData) {
	p.SetTL(TLKadmData, appendKadmData(nil, &k))
}

func parseKadmData(data []byte) (KadmData, error) {
	x := xdrReader{rest: data}
	var k KadmData
	if x.uint32() != kadmVersion {
		x.bad = true
	}
	k.Policy = x.nullString()
	k.Aux = x.uint32()
	k.OldKeyNext = x.uint32()
	k.HistKVNO = x.uint32()
	for range x.count(4) {
		var entry []HistKey
		for range x.count(32) {
			entry = append(entry, x.histKey())
		}
		k.History = append(k.History, entry)
	}
	if x.bad || len(x.rest) > 0 {
		return KadmData{}, errKadmData
	}
	return k, nil
}

func appendKadmData(dst []byte, k *KadmData) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, kadmVersion)
	if k.Policy == "" {
		dst = be.AppendUint32(dst, 0)
	} else {
		dst = appendOpaque(dst, append([]byte(k.Policy), 0))
	}
	dst = be.AppendUint32(dst, k.Aux)
	dst = be.AppendUint32(dst, k.OldKeyNext)
	dst = be.AppendUint32(dst, k.HistKVNO)
	dst = be.AppendUint32(dst, uint32(len(k.History)))
	for _, entry := range k.History {
		dst = be.AppendUint32(dst, uint32(len(entry)))
		for i := range entry {
			dst = appendHistKey(dst, &entry[i])
		}
	}
	return dst
}

func appendHistKey(dst []byte, k *HistKey) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(int32(k.Ver)))
	dst = be.AppendUint32(dst, uint32(k.Kvno))
	dst = be.AppendUint32(dst, uint32(int32(k.Enctype)))
	dst = be.AppendUint32(dst, uint32(int32(k.SaltType)))
	dst = be.AppendUint32(dst, uint32(len(k.Sealed)))
	dst = be.AppendUint32(dst, uint32(len(k.Salt)))
	return appendOpaque(appendOpaque(dst, k.Sealed), k.Salt)
}

// appendOpaque appends a variable-length opaque (RFC 4506 section 4.10).
func appendOpaque(dst, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	dst = append(dst, data...)
	return append(dst, make([]byte, -len(data)&3)...)
}

// xdrReader reads XDR (RFC 4506). After the first fault all reads give zero.
type xdrReader struct {
	rest []byte
	bad  bool
}

func (x *xdrReader) take(n int) []byte {
	if x.bad || n > len(x.rest) {
		x.bad = true
		return nil
	}
	data := x.rest[:n:n]
	x.rest = x.rest[n:]
	return data
}

func (x *xdrReader) uint32() uint32 {
	data := x.take(4)
	if data == nil {
		return 0
	}
	return binary.BigEndian.Uint32(data)
}

// int16 reads an int32 that must fit.
func (x *xdrReader) int16() int16 {
	v := int32(x.uint32())
	if v != int32(int16(v)) {
		x.bad = true
		return 0
	}
	return int16(v)
}

// uint16 reads a uint32 that must fit.
func (x *xdrReader) uint16() uint16 {
	v := x.uint32()
	if v > maxData {
		x.bad = true
		return 0
	}
	return uint16(v)
}

// count reads the number of elements of a list; each takes at least size bytes.
func (x *xdrReader) count(size int) int {
	n := x.uint32()
	if x.bad || uint64(n)*uint64(size) > uint64(len(x.rest)) {
		x.bad = true
		return 0
	}
	return int(n)
}

// opaque reads variable-length data; the padding must be zero.
func (x *xdrReader) opaque() []byte {
	n := x.uint32()
	if uint64(n) > uint64(len(x.rest)) {
		x.bad = true
		return nil
	}
	data := x.take(int(n))
	for _, c := range x.take(-int(n) & 3) {
		if c != 0 {
			x.bad = true
		}
	}
	return data
}

// nullString reads MIT's form of a string that may be absent: the NUL is counted.
func (x *xdrReader) nullString() string {
	data := x.opaque()
	if len(data) == 0 {
		return ""
	}
	s, ok := cString(data)
	if !ok || s == "" { // an empty string is written as an absent one
		x.bad = true
	}
	return s
}

func (x *xdrReader) histKey() HistKey {
	k := HistKey{Ver: x.int16(), Kvno: x.uint16(), Enctype: x.int16(), SaltType: x.int16()}
	keyLen, saltLen := int(x.uint16()), int(x.uint16())
	k.Sealed = x.opaque()
	k.Salt = x.opaque()
	if len(k.Sealed) != keyLen || len(k.Salt) != saltLen {
		x.bad = true
	}
	return k
}
