package krbmsg

import "krealm/internal/der"

// KDC options (RFC 4120 section 5.4.1, RFC 6806, RFC 8062, [MS-SFU]).
const (
	OptForwardable       = 0x40000000
	OptForwarded         = 0x20000000
	OptProxiable         = 0x10000000
	OptProxy             = 0x08000000
	OptAllowPostdate     = 0x04000000
	OptPostdated         = 0x02000000
	OptRenewable         = 0x00800000
	OptCNameInAddlTkt    = 0x00020000
	OptCanonicalize      = 0x00010000
	OptRequestAnonymous  = 0x00008000
	OptDisableTransCheck = 0x00000020
	OptRenewableOK       = 0x00000010
	OptEncTktInSkey      = 0x00000008
	OptRenew             = 0x00000002
	OptValidate          = 0x00000001
)

// KDCReq is AS-REQ or TGS-REQ (RFC 4120 section 5.4.1).
type KDCReq struct {
	AS      bool  // the application tag: 10 for AS, else 12
	MsgType int32 // what the message says; it should agree with AS
	PAData  []PAData
	Body    KDCReqBody
	RawBody []byte // KDC-REQ-BODY as received: the octets that checksums cover
}

// KDCReqBody is KDC-REQ-BODY.
type KDCReqBody struct {
	Options   uint32
	CName     Opt[PrincipalName]
	Realm     []byte
	SName     Opt[PrincipalName]
	From      Opt[int64]
	Till      int64
	RTime     Opt[int64]
	Nonce     int64 // -2^31 to 2^32-1, to be echoed as it is
	Etypes    []int32
	Addresses []HostAddress
	AuthData  Opt[EncryptedData] // of AuthorizationData
	Tickets   []Ticket
}

// Parse decodes AS-REQ or TGS-REQ. The message type is not compared with the tag.
func (q *KDCReq) Parse(b []byte) error {
	app := uint8(appTGSReq)
	q.AS = len(b) > 0 && b[0] == byte(der.Application(appASReq))
	if q.AS {
		app = appASReq
	}
	return message(b, app, func(r *der.Reader) {
		constant(r, 1, 5)
		if q.MsgType = field(r, 2, (*der.Reader).Int32); q.MsgType < 0 {
			r.Fail(der.ErrValue)
		}
		q.PAData = optional(r, 3, listOf(readPAData)).V
		r.Enter(der.Context(4))
		start := r.Offset()
		q.Body = readReqBody(r)
		q.RawBody = r.Since(start)
		r.Close()
	})
}

// AppendTo writes AS-REQ or TGS-REQ, from RawBody if it is set.
func (q *KDCReq) AppendTo(w *der.Writer) {
	m := w.Mark()
	if q.RawBody != nil {
		w.Raw(q.RawBody)
	} else {
		q.Body.AppendTo(w)
	}
	w.Wrap(der.Context(4), m)
	putList(w, 3, q.PAData, putPAData)
	putInt(w, 2, int64(q.MsgType))
	putInt(w, 1, 5)
	if q.AS {
		wrapMessage(w, appASReq, m)
	} else {
		wrapMessage(w, appTGSReq, m)
	}
}

func readReqBody(r *der.Reader) (b KDCReqBody) {
	r.Enter(der.TagSequence)
	b.Options = field(r, 0, (*der.Reader).Flags)
	b.CName = optional(r, 1, readName)
	b.Realm = field(r, 2, (*der.Reader).GeneralString)
	b.SName = optional(r, 3, readName)
	b.From = optional(r, 4, (*der.Reader).Time)
	b.Till = field(r, 5, (*der.Reader).Time)
	b.RTime = optional(r, 6, (*der.Reader).Time)
	b.Nonce = field(r, 7, (*der.Reader).Nonce)
	b.Etypes = field(r, 8, listOf((*der.Reader).Int32))
	b.Addresses = optional(r, 9, listOf(readAddress)).V
	b.AuthData = optional(r, 10, readEncryptedData)
	b.Tickets = optional(r, 11, listOf(readTicket)).V
	r.Leave()
	return b
}

// AppendTo writes KDC-REQ-BODY.
func (b *KDCReqBody) AppendTo(w *der.Writer) {
	m := w.Mark()
	putList(w, 11, b.Tickets, func(w *der.Writer, t *Ticket) { t.AppendTo(w) })
	if b.AuthData.Set {
		put(w, 10, b.AuthData.V)
	}
	putList(w, 9, b.Addresses, putAddress)
	putList(w, 8, nonNil(b.Etypes), func(w *der.Writer, e *int32) { w.Int(int64(*e)) })
	putInt(w, 7, b.Nonce)
	putOptTime(w, 6, b.RTime)
	putTime(w, 5, b.Till)
	putOptTime(w, 4, b.From)
	if b.SName.Set {
		put(w, 3, b.SName.V)
	}
	putString(w, 2, b.Realm)
	if b.CName.Set {
		put(w, 1, b.CName.V)
	}
	putFlags(w, 0, b.Options)
	w.Wrap(der.TagSequence, m)
}

// Message types (RFC 4120 section 7.5.7).
const (
	MsgASReq    = appASReq
	MsgASRep    = appASRep
	MsgTGSReq   = appTGSReq
	MsgTGSRep   = appTGSRep
	MsgKRBError = appKRBError
)

// IsKDCReq reports whether the first octet of a datagram is that of an AS-REQ or TGS-REQ.
func IsKDCReq(b []byte) bool {
	return len(b) > 0 &&
		(b[0] == byte(der.Application(appASReq)) || b[0] == byte(der.Application(appTGSReq)))
}
