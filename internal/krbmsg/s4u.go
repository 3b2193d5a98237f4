package krbmsg

import (
	"encoding/binary"

	"krealm/internal/der"
)

// ForUser is PA-FOR-USER ([MS-SFU] section 2.2.1): the user for whom a service asks for a
// ticket to itself.
type ForUser struct {
	Name        PrincipalName
	Realm       []byte
	Cksum       Checksum
	AuthPackage []byte
}

// Parse decodes PA-FOR-USER.
func (f *ForUser) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		f.Name = field(r, 0, readName)
		f.Realm = field(r, 1, (*der.Reader).GeneralString)
		f.Cksum = field(r, 2, readChecksum)
		f.AuthPackage = field(r, 3, (*der.Reader).GeneralString)
	})
}

// AppendTo writes PA-FOR-USER.
func (f *ForUser) AppendTo(w *der.Writer) {
	m := w.Mark()
	putString(w, 3, f.AuthPackage)
	put(w, 2, f.Cksum)
	putString(w, 1, f.Realm)
	put(w, 0, f.Name)
	w.Wrap(der.TagSequence, m)
}

// Covered returns the octets that the checksum covers: the name type in four octets, lowest
// first, then the parts, the realm and the package without anything between.
func (f *ForUser) Covered() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(f.Name.Type))
	for _, p := range f.Name.Parts {
		b = append(b, p...)
	}
	b = append(b, f.Realm...)
	return append(b, f.AuthPackage...)
}

// S4UReplyKeyUsage in the options of S4UUserID asks for a reply whose checksum has a usage of
// its own.
const S4UReplyKeyUsage = 0x20000000

// S4UUserID names a user, by name or by certificate ([MS-SFU] section 2.2.2).
type S4UUserID struct {
	Nonce   int64
	Name    Opt[PrincipalName]
	Realm   []byte
	Cert    []byte // DER, nil if absent
	Options Opt[uint32]
}

func readUserID(r *der.Reader) (u S4UUserID) {
	r.Enter(der.TagSequence)
	u.Nonce = field(r, 0, (*der.Reader).Nonce)
	u.Name = optional(r, 1, readName)
	u.Realm = field(r, 2, (*der.Reader).GeneralString)
	u.Cert = bytesOpt(r, 3, (*der.Reader).Octets)
	u.Options = optional(r, 4, (*der.Reader).Flags)
	r.Leave()
	return u
}

// AppendTo writes S4UUserID.
func (u S4UUserID) AppendTo(w *der.Writer) {
	m := w.Mark()
	if u.Options.Set {
		putFlags(w, 4, u.Options.V)
	}
	if u.Cert != nil {
		putOctets(w, 3, u.Cert)
	}
	putString(w, 2, u.Realm)
	if u.Name.Set {
		put(w, 1, u.Name.V)
	}
	putInt(w, 0, u.Nonce)
	w.Wrap(der.TagSequence, m)
}

// S4UX509User is PA-S4U-X509-USER ([MS-SFU] section 2.2.2). RawUser is UserID as received: the
// octets that the checksum covers.
type S4UX509User struct {
	UserID  S4UUserID
	RawUser []byte
	Cksum   Checksum
}

// Parse decodes PA-S4U-X509-USER.
func (s *S4UX509User) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		r.Enter(der.Context(0))
		start := r.Offset()
		s.UserID = readUserID(r)
		s.RawUser = r.Since(start)
		r.Close()
		s.Cksum = field(r, 1, readChecksum)
	})
}

// AppendTo writes PA-S4U-X509-USER, from UserID.
func (s *S4UX509User) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 1, s.Cksum)
	put(w, 0, s.UserID)
	w.Wrap(der.TagSequence, m)
}
