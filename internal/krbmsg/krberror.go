package krbmsg

import "krealm/internal/der"

// KRBError is KRB-ERROR (RFC 4120 section 5.9.1). nil octets are absent fields.
type KRBError struct {
	CTime  Opt[int64]
	Cusec  Opt[int32]
	STime  int64
	Susec  int32
	Code   int32
	CRealm []byte
	CName  Opt[PrincipalName]
	Realm  []byte
	SName  PrincipalName
	EText  []byte
	EData  []byte
}

// Parse decodes KRB-ERROR.
func (e *KRBError) Parse(b []byte) error {
	return message(b, appKRBError, func(r *der.Reader) {
		constant(r, 0, 5)
		constant(r, 1, appKRBError)
		e.CTime = optional(r, 2, (*der.Reader).Time)
		e.Cusec = optional(r, 3, (*der.Reader).Usec)
		e.STime = field(r, 4, (*der.Reader).Time)
		e.Susec = field(r, 5, (*der.Reader).Usec)
		e.Code = field(r, 6, (*der.Reader).Int32)
		e.CRealm = bytesOpt(r, 7, (*der.Reader).GeneralString)
		e.CName = optional(r, 8, readName)
		e.Realm = field(r, 9, (*der.Reader).GeneralString)
		e.SName = field(r, 10, readName)
		e.EText = bytesOpt(r, 11, (*der.Reader).GeneralString)
		e.EData = bytesOpt(r, 12, (*der.Reader).Octets)
	})
}

// AppendTo writes KRB-ERROR.
func (e *KRBError) AppendTo(w *der.Writer) {
	m := w.Mark()
	if e.EData != nil {
		putOctets(w, 12, e.EData)
	}
	if e.EText != nil {
		putString(w, 11, e.EText)
	}
	put(w, 10, e.SName)
	putString(w, 9, e.Realm)
	if e.CName.Set {
		put(w, 8, e.CName.V)
	}
	if e.CRealm != nil {
		putString(w, 7, e.CRealm)
	}
	putInt(w, 6, int64(e.Code))
	putInt(w, 5, int64(e.Susec))
	putTime(w, 4, e.STime)
	if e.Cusec.Set {
		putInt(w, 3, int64(e.Cusec.V))
	}
	putOptTime(w, 2, e.CTime)
	putInt(w, 1, appKRBError)
	putInt(w, 0, 5)
	wrapMessage(w, appKRBError, m)
}
