package krbmsg

import "krealm/internal/der"

// AP options (RFC 4120 section 5.5.1).
const (
	APUseSessionKey  = 0x40000000
	APMutualRequired = 0x20000000
)

// APReq is KRB_AP_REQ (RFC 4120 section 5.5.1).
type APReq struct {
	Options       uint32
	Ticket        Ticket
	Authenticator EncryptedData // of an Authenticator
}

// IsAPReq reports whether the first octet is that of an AP-REQ.
func IsAPReq(b []byte) bool { return len(b) > 0 && b[0] == byte(der.Application(appAPReq)) }

// Parse decodes AP-REQ.
func (a *APReq) Parse(b []byte) error {
	return message(b, appAPReq, func(r *der.Reader) {
		constant(r, 0, 5)
		constant(r, 1, appAPReq)
		a.Options = field(r, 2, (*der.Reader).Flags)
		a.Ticket = field(r, 3, readTicket)
		a.Authenticator = field(r, 4, readEncryptedData)
	})
}

// AppendTo writes AP-REQ.
func (a *APReq) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 4, a.Authenticator)
	put(w, 3, &a.Ticket)
	putFlags(w, 2, a.Options)
	putInt(w, 1, appAPReq)
	putInt(w, 0, 5)
	wrapMessage(w, appAPReq, m)
}

// Authenticator is the plaintext that proves possession of a session key (RFC 4120
// section 5.5.1).
type Authenticator struct {
	CRealm   []byte
	CName    PrincipalName
	Cksum    Opt[Checksum]
	Cusec    int32 // microseconds of CTime
	CTime    int64
	Subkey   Opt[EncryptionKey]
	Seq      Opt[uint32]
	AuthData AuthorizationData
}

// Parse decodes Authenticator.
func (a *Authenticator) Parse(b []byte) error {
	return message(b, appAuthenticator, func(r *der.Reader) {
		constant(r, 0, 5)
		a.CRealm = field(r, 1, (*der.Reader).GeneralString)
		a.CName = field(r, 2, readName)
		a.Cksum = optional(r, 3, readChecksum)
		a.Cusec = field(r, 4, (*der.Reader).Usec)
		a.CTime = field(r, 5, (*der.Reader).Time)
		a.Subkey = optional(r, 6, readKey)
		a.Seq = optional(r, 7, (*der.Reader).Uint32)
		a.AuthData = optional(r, 8, readAuthData).V
	})
}

// AppendTo writes Authenticator.
func (a *Authenticator) AppendTo(w *der.Writer) {
	m := w.Mark()
	putAuthData(w, 8, a.AuthData)
	if a.Seq.Set {
		putInt(w, 7, int64(a.Seq.V))
	}
	if a.Subkey.Set {
		put(w, 6, a.Subkey.V)
	}
	putTime(w, 5, a.CTime)
	putInt(w, 4, int64(a.Cusec))
	if a.Cksum.Set {
		put(w, 3, a.Cksum.V)
	}
	put(w, 2, a.CName)
	putString(w, 1, a.CRealm)
	putInt(w, 0, 5)
	wrapMessage(w, appAuthenticator, m)
}

// APRep is KRB_AP_REP (RFC 4120 section 5.5.2).
type APRep struct {
	EncPart EncryptedData // of an EncAPRepPart
}

// Parse decodes AP-REP.
func (a *APRep) Parse(b []byte) error {
	return message(b, appAPRep, func(r *der.Reader) {
		constant(r, 0, 5)
		constant(r, 1, appAPRep)
		a.EncPart = field(r, 2, readEncryptedData)
	})
}

// AppendTo writes AP-REP.
func (a *APRep) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 2, a.EncPart)
	putInt(w, 1, appAPRep)
	putInt(w, 0, 5)
	wrapMessage(w, appAPRep, m)
}

// EncAPRepPart is the plaintext of AP-REP. CTime and Cusec are those of the authenticator.
type EncAPRepPart struct {
	CTime  int64
	Cusec  int32
	Subkey Opt[EncryptionKey]
	Seq    Opt[uint32]
}

// Parse decodes EncAPRepPart.
func (a *EncAPRepPart) Parse(b []byte) error {
	return message(b, appEncAPRepPart, func(r *der.Reader) {
		a.CTime = field(r, 0, (*der.Reader).Time)
		a.Cusec = field(r, 1, (*der.Reader).Usec)
		a.Subkey = optional(r, 2, readKey)
		a.Seq = optional(r, 3, (*der.Reader).Uint32)
	})
}

// AppendTo writes EncAPRepPart.
func (a *EncAPRepPart) AppendTo(w *der.Writer) {
	m := w.Mark()
	if a.Seq.Set {
		putInt(w, 3, int64(a.Seq.V))
	}
	if a.Subkey.Set {
		put(w, 2, a.Subkey.V)
	}
	putInt(w, 1, int64(a.Cusec))
	putTime(w, 0, a.CTime)
	wrapMessage(w, appEncAPRepPart, m)
}
