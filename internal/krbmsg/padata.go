package krbmsg

import "krealm/internal/der"

// PAData is one element of pre-authentication data (RFC 4120 section 5.2.7).
type PAData struct {
	Type  int32
	Value []byte
}

// Types of pre-authentication data.
const (
	PATGSReq          = 1
	PAEncTimestamp    = 2
	PAPWSalt          = 3
	PAETypeInfo       = 11
	PAPKASReq         = 16
	PAPKASRep         = 17
	PAETypeInfo2      = 19
	PAForUser         = 129
	PAS4UX509User     = 130
	PAPACRequest      = 128
	PAFXCookie        = 133
	PAFXFast          = 136
	PAFXError         = 137
	PAEncryptedChal   = 138
	PAOTPChallenge    = 141
	PAOTPRequest      = 142
	PAPKINITKX        = 147
	PAReqEncPARep     = 149
	PAASFreshness     = 150
	PASPAKE           = 151
	PAPACOptions      = 167
	PASvrReferralInfo = 20
)

// PACOptionRBCD in PACOptions asks for resource-based constrained delegation.
const PACOptionRBCD = 0x10000000

func readPAData(r *der.Reader) (p PAData) {
	r.Enter(der.TagSequence)
	p.Type = field(r, 1, (*der.Reader).Int32)
	p.Value = field(r, 2, (*der.Reader).Octets)
	r.Leave()
	return p
}

func putPAData(w *der.Writer, p *PAData) {
	m := w.Mark()
	putOctets(w, 2, p.Value)
	putInt(w, 1, int64(p.Type))
	w.Wrap(der.TagSequence, m)
}

// FindPA returns the value of the first element of the given type.
func FindPA(list []PAData, paType int32) ([]byte, bool) {
	for i := range list {
		if list[i].Type == paType {
			return list[i].Value, true
		}
	}
	return nil, false
}

// MethodData is METHOD-DATA: the e-data of an error that asks for pre-authentication
// (RFC 4120 section 5.9.1). Encrypted padata of replies has the same form (RFC 6806).
type MethodData []PAData

// Parse decodes METHOD-DATA.
func (d *MethodData) Parse(b []byte) error {
	r := der.NewReader(b)
	*d = list(r, readPAData)
	return r.Err()
}

// AppendTo writes METHOD-DATA.
func (d MethodData) AppendTo(w *der.Writer) { appendList(w, d, putPAData) }

// ETypeInfo2Entry tells a client which enctype and salt its key has (RFC 4120
// section 5.2.7.5). A nil field is absent.
type ETypeInfo2Entry struct {
	Etype  int32
	Salt   []byte
	Params []byte
}

// ETypeInfo2 is ETYPE-INFO2.
type ETypeInfo2 []ETypeInfo2Entry

// Parse decodes ETYPE-INFO2.
func (e *ETypeInfo2) Parse(b []byte) error {
	r := der.NewReader(b)
	*e = list(r, func(r *der.Reader) (x ETypeInfo2Entry) {
		r.Enter(der.TagSequence)
		x.Etype = field(r, 0, (*der.Reader).Int32)
		x.Salt = bytesOpt(r, 1, (*der.Reader).GeneralString)
		x.Params = bytesOpt(r, 2, (*der.Reader).Octets)
		r.Leave()
		return x
	})
	return r.Err()
}

// AppendTo writes ETYPE-INFO2.
func (e ETypeInfo2) AppendTo(w *der.Writer) {
	appendList(w, e, func(w *der.Writer, x *ETypeInfo2Entry) {
		m := w.Mark()
		if x.Params != nil {
			putOctets(w, 2, x.Params)
		}
		if x.Salt != nil {
			putString(w, 1, x.Salt)
		}
		putInt(w, 0, int64(x.Etype))
		w.Wrap(der.TagSequence, m)
	})
}

// ETypeInfoEntry is the older form of ETypeInfo2Entry (RFC 4120 section 5.2.7.4).
type ETypeInfoEntry struct {
	Etype int32
	Salt  []byte
}

// ETypeInfo is ETYPE-INFO.
type ETypeInfo []ETypeInfoEntry

// Parse decodes ETYPE-INFO.
func (e *ETypeInfo) Parse(b []byte) error {
	r := der.NewReader(b)
	*e = list(r, func(r *der.Reader) (x ETypeInfoEntry) {
		r.Enter(der.TagSequence)
		x.Etype = field(r, 0, (*der.Reader).Int32)
		x.Salt = bytesOpt(r, 1, (*der.Reader).Octets)
		r.Leave()
		return x
	})
	return r.Err()
}

// AppendTo writes ETYPE-INFO.
func (e ETypeInfo) AppendTo(w *der.Writer) {
	appendList(w, e, func(w *der.Writer, x *ETypeInfoEntry) {
		m := w.Mark()
		if x.Salt != nil {
			putOctets(w, 1, x.Salt)
		}
		putInt(w, 0, int64(x.Etype))
		w.Wrap(der.TagSequence, m)
	})
}

// PAEncTSEnc is the plaintext of an encrypted timestamp or challenge (RFC 4120
// section 5.2.7.2).
type PAEncTSEnc struct {
	Time int64
	Usec Opt[int32]
}

// Parse decodes PA-ENC-TS-ENC.
func (t *PAEncTSEnc) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		t.Time = field(r, 0, (*der.Reader).Time)
		t.Usec = optional(r, 1, (*der.Reader).Usec)
	})
}

// AppendTo writes PA-ENC-TS-ENC.
func (t PAEncTSEnc) AppendTo(w *der.Writer) {
	m := w.Mark()
	if t.Usec.Set {
		putInt(w, 1, int64(t.Usec.V))
	}
	putTime(w, 0, t.Time)
	w.Wrap(der.TagSequence, m)
}

// PACRequest is KERB-PA-PAC-REQUEST ([MS-KILE] section 2.2.3): whether a PAC is wanted.
type PACRequest struct{ Include bool }

// Parse decodes KERB-PA-PAC-REQUEST.
func (p *PACRequest) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		p.Include = field(r, 0, (*der.Reader).Bool)
	})
}

// AppendTo writes KERB-PA-PAC-REQUEST.
func (p PACRequest) AppendTo(w *der.Writer) {
	m := w.Mark()
	w.Bool(p.Include)
	w.Wrap(der.Context(0), m)
	w.Wrap(der.TagSequence, m)
}

// PACOptions is PA-PAC-OPTIONS ([MS-KILE] section 2.2.10).
type PACOptions struct{ Flags uint32 }

// Parse decodes PA-PAC-OPTIONS.
func (p *PACOptions) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		p.Flags = field(r, 0, (*der.Reader).Flags)
	})
}

// AppendTo writes PA-PAC-OPTIONS.
func (p PACOptions) AppendTo(w *der.Writer) {
	m := w.Mark()
	putFlags(w, 0, p.Flags)
	w.Wrap(der.TagSequence, m)
}
