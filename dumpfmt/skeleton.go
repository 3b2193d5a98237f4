package dumpfmt

import (
	"errors"
	"fmt"
	"io"
)

var errSoon = errors.New("dumpfmt: not built yet")

type Version int

const (
	Version4 Version = 4
	Version5 Version = 5
	Version6 Version = 6
	Version7 Version = 7
	Iprop    Version = 100
	Ipropx   Version = 101
	Current          = Version7
)

type Name struct {
	Realm      string
	Components []string
}

func ParseName(s, defaultRealm string) (Name, error) { return Name{}, errSoon }
func (n Name) String() string                        { return "" }

type SyntaxError struct {
	Line, Field int
	Err         error
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("dumpfmt: line %d, field %d: %v", e.Line, e.Field, e.Err)
}
func (e *SyntaxError) Unwrap() error { return e.Err }

func (p *Principal) AppendLine(dst []byte, v Version) ([]byte, error)       { return dst, errSoon }
func (p *Policy) AppendLine(dst []byte, v Version) ([]byte, error)          { return dst, errSoon }
func (d *DeletePrincipal) AppendLine(dst []byte, v Version) ([]byte, error) { return dst, errSoon }
func (d *DeletePolicy) AppendLine(dst []byte, v Version) ([]byte, error)    { return dst, errSoon }

func ParseLine(line []byte, v Version) (Record, error) { return nil, errSoon }
func ParseDeltaLine(line []byte) (Record, error)       { return nil, errSoon }

type Reader struct{}

func NewReader(r io.Reader) (*Reader, error) { return nil, errSoon }
func (r *Reader) Version() Version           { return 0 }
func (r *Reader) Next() (Record, error)      { return nil, errSoon }
func (r *Reader) RawLine() []byte            { return nil }
func (r *Reader) Line() int                  { return 0 }
func (r *Reader) Offset() int64              { return 0 }

type Writer struct{}

func NewWriter(w io.Writer, v Version) (*Writer, error) { return nil, errSoon }
func (w *Writer) Write(r Record) error                  { return errSoon }
func (w *Writer) WriteLine(raw []byte) error            { return errSoon }
func (w *Writer) Flush() error                          { return errSoon }

type Lockout struct{ LastSuccess, LastFailed, FailCount uint32 }

func SplitLockout(dst, line []byte) (stripped []byte, l Lockout, err error) { return dst, l, errSoon }
func JoinLockout(dst, stripped []byte, l Lockout) ([]byte, error)           { return dst, errSoon }

type Kind int

const (
	KindPrincipal Kind = iota + 1
	KindPolicy
	KindDeletePrincipal
	KindDeletePolicy
)

func LineName(line []byte) (kind Kind, name string, err error) { return 0, "", errSoon }

func (p *Principal) FindTL(t int16) ([]byte, bool)               { return nil, false }
func (p *Principal) SetTL(t int16, data []byte)                  {}
func (p *Principal) RemoveTL(t int16)                            {}
func (p *Principal) ModPrinc() (when uint32, by string, ok bool) { return 0, "", false }
func (p *Principal) SetModPrinc(when uint32, by string)          {}
func (p *Principal) LastPwdChange() uint32                       { return 0 }
func (p *Principal) SetLastPwdChange(when uint32)                {}
func (p *Principal) MKVNO() (uint16, bool)                       { return 0, false }
func (p *Principal) SetMKVNO(kvno uint16)                        {}
func (p *Principal) LastAdminUnlock() uint32                     { return 0 }
func (p *Principal) SetLastAdminUnlock(when uint32)              {}
func (p *Principal) AliasTarget() (string, bool)                 { return "", false }
func (p *Principal) CurrentKvno() uint16                         { return 0 }
func MaxKvnoNext(p *Principal) uint16                            { return 0 }

type KadmData struct {
	Policy                    string
	Aux, OldKeyNext, HistKVNO uint32
	History                   [][]HistKey
}
type HistKey struct {
	Ver      int32
	Kvno     uint32
	Enctype  int32
	SaltType int32
	Sealed   []byte
	Salt     []byte
}

func (p *Principal) KadmData() (KadmData, error) { return KadmData{}, errSoon }
func (p *Principal) SetKadmData(k KadmData)      {}

type StringAttr struct{ Key, Value string }

func (p *Principal) Strings() ([]StringAttr, error)    { return nil, errSoon }
func (p *Principal) SetString(key, value string) error { return errSoon }
func (p *Principal) DeleteString(key string)           {}

type ActKVNO struct {
	Kvno uint16
	Time uint32
}
type MkeyAux struct {
	OldKvno, NewKvno uint16
	Enctype          uint16
	Sealed           []byte
}

func (p *Principal) ActKVNO() ([]ActKVNO, error) { return nil, errSoon }
func (p *Principal) SetActKVNO(list []ActKVNO)   {}
func (p *Principal) MkeyAux() ([]MkeyAux, error) { return nil, errSoon }
func (p *Principal) SetMkeyAux(list []MkeyAux)   {}
