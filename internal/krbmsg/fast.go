package krbmsg

import "krealm/internal/der"

// FastArmorAPRequest is the only armor type in use (RFC 6113 section 5.4.1.1).
const FastArmorAPRequest = 1

// FAST options (RFC 6113 section 5.4.2). Bits of FastCriticalOptions that a KDC does not know
// make it refuse the request; hide-client-names is known.
const (
	FastHideClientNames = 0x40000000
	FastCriticalOptions = 0xbfff0000
)

// FastArmor is KrbFastArmor.
type FastArmor struct {
	Type  int32
	Value []byte // of type 1: an AP-REQ
}

// FastArmoredReq is PA-FX-FAST-REQUEST with its only choice, KrbFastArmoredReq (RFC 6113
// section 5.4.2).
type FastArmoredReq struct {
	Armor      Opt[FastArmor]
	Checksum   Checksum
	EncFastReq EncryptedData // of a FastReq
}

// Parse decodes PA-FX-FAST-REQUEST.
func (f *FastArmoredReq) Parse(b []byte) error {
	r := der.NewReader(b)
	r.Enter(der.Context(0))
	r.Enter(der.TagSequence)
	f.Armor = optional(r, 0, func(r *der.Reader) (a FastArmor) {
		r.Enter(der.TagSequence)
		a.Type = field(r, 0, (*der.Reader).Int32)
		a.Value = field(r, 1, (*der.Reader).Octets)
		r.Leave()
		return a
	})
	f.Checksum = field(r, 1, readChecksum)
	f.EncFastReq = field(r, 2, readEncryptedData)
	return r.Err()
}

// AppendTo writes PA-FX-FAST-REQUEST.
func (f *FastArmoredReq) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 2, f.EncFastReq)
	put(w, 1, f.Checksum)
	if f.Armor.Set {
		am := w.Mark()
		putOctets(w, 1, f.Armor.V.Value)
		putInt(w, 0, int64(f.Armor.V.Type))
		w.Wrap(der.TagSequence, am)
		w.Wrap(der.Context(0), am)
	}
	w.Wrap(der.TagSequence, m)
	w.Wrap(der.Context(0), m)
}

// FastReq is KrbFastReq: the request inside the armor.
type FastReq struct {
	Options uint32
	PAData  []PAData
	Body    KDCReqBody
	RawBody []byte
}

// Parse decodes KrbFastReq.
func (f *FastReq) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		f.Options = field(r, 0, (*der.Reader).Flags)
		f.PAData = field(r, 1, listOf(readPAData))
		r.Enter(der.Context(2))
		start := r.Offset()
		f.Body = readReqBody(r)
		f.RawBody = r.Since(start)
		r.Close()
	})
}

// AppendTo writes KrbFastReq, from RawBody if it is set.
func (f *FastReq) AppendTo(w *der.Writer) {
	m := w.Mark()
	if f.RawBody != nil {
		w.Raw(f.RawBody)
	} else {
		f.Body.AppendTo(w)
	}
	w.Wrap(der.Context(2), m)
	putList(w, 1, nonNil(f.PAData), putPAData)
	putFlags(w, 0, f.Options)
	w.Wrap(der.TagSequence, m)
}

// FastArmoredRep is PA-FX-FAST-REPLY with its only choice, KrbFastArmoredRep.
type FastArmoredRep struct {
	EncFastRep EncryptedData // of a FastResponse
}

// Parse decodes PA-FX-FAST-REPLY.
func (f *FastArmoredRep) Parse(b []byte) error {
	r := der.NewReader(b)
	r.Enter(der.Context(0))
	r.Enter(der.TagSequence)
	f.EncFastRep = field(r, 0, readEncryptedData)
	return r.Err()
}

// AppendTo writes PA-FX-FAST-REPLY.
func (f *FastArmoredRep) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 0, f.EncFastRep)
	w.Wrap(der.TagSequence, m)
	w.Wrap(der.Context(0), m)
}

// FastResponse is KrbFastResponse (RFC 6113 section 5.4.3).
type FastResponse struct {
	PAData     []PAData
	Strengthen Opt[EncryptionKey]
	Finished   Opt[FastFinished]
	Nonce      int64
}

// FastFinished is KrbFastFinished: it binds the ticket to the armored reply.
type FastFinished struct {
	Time     int64
	Usec     int32
	CRealm   []byte
	CName    PrincipalName
	Checksum Checksum // of the Ticket's encoding
}

// Parse decodes KrbFastResponse.
func (f *FastResponse) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		f.PAData = field(r, 0, listOf(readPAData))
		f.Strengthen = optional(r, 1, readKey)
		f.Finished = optional(r, 2, func(r *der.Reader) (x FastFinished) {
			r.Enter(der.TagSequence)
			x.Time = field(r, 0, (*der.Reader).Time)
			x.Usec = field(r, 1, (*der.Reader).Usec)
			x.CRealm = field(r, 2, (*der.Reader).GeneralString)
			x.CName = field(r, 3, readName)
			x.Checksum = field(r, 4, readChecksum)
			r.Leave()
			return x
		})
		f.Nonce = field(r, 3, (*der.Reader).Nonce)
	})
}

// AppendTo writes KrbFastResponse.
func (f *FastResponse) AppendTo(w *der.Writer) {
	m := w.Mark()
	putInt(w, 3, f.Nonce)
	if f.Finished.Set {
		x, fm := f.Finished.V, w.Mark()
		put(w, 4, x.Checksum)
		put(w, 3, x.CName)
		putString(w, 2, x.CRealm)
		putInt(w, 1, int64(x.Usec))
		putTime(w, 0, x.Time)
		w.Wrap(der.TagSequence, fm)
		w.Wrap(der.Context(2), fm)
	}
	if f.Strengthen.Set {
		put(w, 1, f.Strengthen.V)
	}
	putList(w, 0, nonNil(f.PAData), putPAData)
	w.Wrap(der.TagSequence, m)
}
