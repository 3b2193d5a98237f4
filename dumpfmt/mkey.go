package dumpfmt

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ActKVNO says from when on a version of the master key seals new keys. Only K/M has a
// list of them, ascending by time.
type ActKVNO struct {
	Kvno uint16
	Time uint32 // Unix seconds
}

// MkeyAux is the newest master key sealed by an older one, so that a stash file with the
// older one still opens the realm. Only K/M has a list of them.
type MkeyAux struct {
	OldKvno uint16 // version that seals
	NewKvno uint16 // version sealed, the newest
	Enctype int16  // of the newest
	Sealed  []byte
}

const mkeyListVersion = 1 // of both lists

var (
	errActKVNO = errors.New("dumpfmt: damaged list of active master keys")
	errMkeyAux = errors.New("dumpfmt: damaged list of sealed master keys")
)

// ActKVNO returns the list of K/M; without one it is empty.
func (p *Principal) ActKVNO() ([]ActKVNO, error) {
	data, ok := p.FindTL(TLActKVNO)
	if !ok {
		return nil, nil
	}
	return parseActKVNO(data)
}

func parseActKVNO(data []byte) ([]ActKVNO, error) {
	le := binary.LittleEndian
	if len(data) < 2 || le.Uint16(data) != mkeyListVersion || (len(data)-2)%6 != 0 {
		return nil, errActKVNO
	}
	data = data[2:]
	list := make([]ActKVNO, 0, len(data)/6)
	for ; len(data) > 0; data = data[6:] {
		list = append(list, ActKVNO{Kvno: le.Uint16(data), Time: le.Uint32(data[2:])})
	}
	return list, nil
}

func appendActKVNO(dst []byte, list []ActKVNO) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, mkeyListVersion)
	for _, a := range list {
		dst = binary.LittleEndian.AppendUint16(dst, a.Kvno)
		dst = binary.LittleEndian.AppendUint32(dst, a.Time)
	}
	return dst
}

// SetActKVNO sets the list of K/M.
func (p *Principal) SetActKVNO(list []ActKVNO) {
	p.SetTL(TLActKVNO, appendActKVNO(nil, list))
}

// MkeyAux returns the list of K/M; without one it is empty.
func (p *Principal) MkeyAux() ([]MkeyAux, error) {
	data, ok := p.FindTL(TLMkeyAux)
	if !ok {
		return nil, nil
	}
	return parseMkeyAux(data)
}

func parseMkeyAux(data []byte) ([]MkeyAux, error) {
	le := binary.LittleEndian
	if len(data) < 2 || le.Uint16(data) != mkeyListVersion {
		return nil, errMkeyAux
	}
	data = data[2:]
	var list []MkeyAux
	for len(data) > 0 {
		if len(data) < 8 || len(data)-8 < int(le.Uint16(data[6:])) {
			return nil, errMkeyAux
		}
		end := 8 + int(le.Uint16(data[6:]))
		list = append(list, MkeyAux{
			OldKvno: le.Uint16(data),
			NewKvno: le.Uint16(data[2:]),
			Enctype: int16(le.Uint16(data[4:])),
			Sealed:  data[8:end:end],
		})
		data = data[end:]
	}
	return list, nil
}

func appendMkeyAux(dst []byte, list []MkeyAux) ([]byte, error) {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, mkeyListVersion)
	for _, a := range list {
		if len(a.Sealed) > maxData {
			return nil, fmt.Errorf("dumpfmt: sealed master key of more than %d bytes", maxData)
		}
		dst = le.AppendUint16(dst, a.OldKvno)
		dst = le.AppendUint16(dst, a.NewKvno)
		dst = le.AppendUint16(dst, uint16(a.Enctype))
		dst = le.AppendUint16(dst, uint16(len(a.Sealed)))
		dst = append(dst, a.Sealed...)
	}
	return dst, nil
}

// SetMkeyAux sets the list of K/M; an empty one removes it. It fails where a sealed key is
// longer than its length field can say.
func (p *Principal) SetMkeyAux(list []MkeyAux) error {
	if len(list) == 0 {
		p.RemoveTL(TLMkeyAux)
		return nil
	}
	data, err := appendMkeyAux(nil, list)
	if err != nil {
		return err
	}
	p.SetTL(TLMkeyAux, data)
	return nil
}
