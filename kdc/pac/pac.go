package pac

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"krealm/internal/krbmsg"
)

// Types of buffers ([MS-PAC] section 2.4).
const (
	TypeLogonInfo      = 1
	TypeServerChecksum = 6
	TypeKDCChecksum    = 7
	TypeClientInfo     = 10
	TypeDelegation     = 11
	TypeTicketChecksum = 16
	TypeFullChecksum   = 19
)

// maxBuffers is more than any PAC has; it bounds the work for one that was forged by another
// realm.
const maxBuffers = 64

// Errors of Parse and Verify. The KDC answers them differently.
var (
	ErrMalformed = errors.New("malformed PAC")
	ErrMissing   = errors.New("PAC lacks a buffer")
	ErrSignature = errors.New("PAC signature does not verify")
)

// Buffer is one element of a PAC.
type Buffer struct {
	Type uint32
	Data []byte

	at int // of Data in the encoding
}

// PAC is a decoded PAC. Raw is its encoding, which the buffers alias.
type PAC struct {
	Buffers []Buffer
	Raw     []byte
}

// Parse decodes PACTYPE. All errors are ErrMalformed.
func Parse(b []byte) (*PAC, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(b))
	}
	n, version := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if version != 0 {
		return nil, fmt.Errorf("%w: version %d", ErrMalformed, version)
	}
	if n > maxBuffers || int(n) > (len(b)-8)/16 {
		return nil, fmt.Errorf("%w: %d buffers in %d octets", ErrMalformed, n, len(b))
	}
	p := &PAC{Raw: b, Buffers: make([]Buffer, n)}
	head := 8 + 16*int(n)
	for i := range p.Buffers {
		d := b[8+16*i:]
		size, offset := binary.LittleEndian.Uint32(d[4:]), binary.LittleEndian.Uint64(d[8:])
		if offset%8 != 0 || offset < uint64(head) || offset > uint64(len(b)) || uint64(size) > uint64(len(b))-offset {
			return nil, fmt.Errorf("%w: buffer %d at %d, %d octets", ErrMalformed, i, offset, size)
		}
		p.Buffers[i] = Buffer{Type: binary.LittleEndian.Uint32(d), Data: b[offset : offset+uint64(size)], at: int(offset)}
	}
	return p, nil
}

// Find returns the only buffer of a type. A type that occurs twice counts as missing: it
// would be ambiguous what is signed.
func (p *PAC) Find(bufferType uint32) (*Buffer, error) {
	var found *Buffer
	for i := range p.Buffers {
		if p.Buffers[i].Type == bufferType {
			if found != nil {
				return nil, fmt.Errorf("%w: two of type %d", ErrMalformed, bufferType)
			}
			found = &p.Buffers[i]
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: type %d", ErrMissing, bufferType)
	}
	return found, nil
}

// Has reports whether there is a buffer of a type.
func (p *PAC) Has(bufferType uint32) bool {
	return slices.ContainsFunc(p.Buffers, func(b Buffer) bool { return b.Type == bufferType })
}

// encode writes PACTYPE with every buffer on an 8-octet border, the end padded.
func encode(buffers []Buffer) *PAC {
	size := 8 + 16*len(buffers)
	for _, b := range buffers {
		size += (len(b.Data) + 7) &^ 7
	}
	p := &PAC{Raw: make([]byte, size), Buffers: make([]Buffer, len(buffers))}
	binary.LittleEndian.PutUint32(p.Raw, uint32(len(buffers)))
	at := 8 + 16*len(buffers)
	for i, b := range buffers {
		d := p.Raw[8+16*i:]
		binary.LittleEndian.PutUint32(d, b.Type)
		binary.LittleEndian.PutUint32(d[4:], uint32(len(b.Data)))
		binary.LittleEndian.PutUint64(d[8:], uint64(at))
		copy(p.Raw[at:], b.Data)
		p.Buffers[i] = Buffer{Type: b.Type, Data: p.Raw[at : at+len(b.Data)], at: at}
		at += (len(b.Data) + 7) &^ 7
	}
	return p
}

// Locate finds the PAC in authorization data: the first AD-WIN2K-PAC inside an
// AD-IF-RELEVANT. outer is the index of that container and inner the PAC's index in list; outer
// is -1 if there is none. A container that does not decode is passed over.
func Locate(ad krbmsg.AuthorizationData) (outer, inner int, list krbmsg.AuthorizationData) {
	for i := range ad {
		if ad[i].Type != krbmsg.ADIfRelevant {
			continue
		}
		var in krbmsg.AuthorizationData
		if in.Parse(ad[i].Data) != nil {
			continue
		}
		for j := range in {
			if in[j].Type == krbmsg.ADWin2kPAC {
				return i, j, in
			}
		}
	}
	return -1, -1, nil
}

// Contained returns the PAC in authorization data, nil if there is none.
func Contained(ad krbmsg.AuthorizationData) (*PAC, error) {
	outer, inner, list := Locate(ad)
	if outer < 0 {
		return nil, nil
	}
	return Parse(list[inner].Data)
}
