package krbmsg

import "krealm/internal/der"

// Application numbers of the messages (RFC 4120 section 5.10).
const (
	appTicket        = 1
	appAuthenticator = 2
	appEncTicketPart = 3
	appASReq         = 10
	appASRep         = 11
	appTGSReq        = 12
	appTGSRep        = 13
	appAPReq         = 14
	appAPRep         = 15
	appEncASRepPart  = 25
	appEncTGSRepPart = 26
	appEncAPRepPart  = 27
	appKRBError      = 30
)

// Ticket is a ticket as it travels (RFC 4120 section 5.3). Raw is the encoding it was parsed
// from; while it is set AppendTo writes it and not the fields.
type Ticket struct {
	Realm   []byte
	SName   PrincipalName
	EncPart EncryptedData
	Raw     []byte
}

func readTicket(r *der.Reader) (t Ticket) {
	start := r.Offset()
	r.Enter(der.Application(appTicket))
	r.Enter(der.TagSequence)
	constant(r, 0, 5)
	t.Realm = field(r, 1, (*der.Reader).GeneralString)
	t.SName = field(r, 2, readName)
	t.EncPart = field(r, 3, readEncryptedData)
	r.Leave()
	r.Leave()
	t.Raw = r.Since(start)
	return t
}

// Parse decodes Ticket.
func (t *Ticket) Parse(b []byte) error {
	r := der.NewReader(b)
	*t = readTicket(r)
	return r.Err()
}

// AppendTo writes Ticket.
func (t *Ticket) AppendTo(w *der.Writer) {
	if t.Raw != nil {
		w.Raw(t.Raw)
		return
	}
	m := w.Mark()
	put(w, 3, t.EncPart)
	put(w, 2, t.SName)
	putString(w, 1, t.Realm)
	putInt(w, 0, 5)
	wrapMessage(w, appTicket, m)
}

// Ticket flags (RFC 4120 section 5.3, RFC 6806, RFC 8062), as KerberosFlags masks.
const (
	FlagForwardable    = 0x40000000
	FlagForwarded      = 0x20000000
	FlagProxiable      = 0x10000000
	FlagProxy          = 0x08000000
	FlagMayPostdate    = 0x04000000
	FlagPostdated      = 0x02000000
	FlagInvalid        = 0x01000000
	FlagRenewable      = 0x00800000
	FlagInitial        = 0x00400000
	FlagPreAuth        = 0x00200000
	FlagHWAuth         = 0x00100000
	FlagTransitChecked = 0x00080000
	FlagOKAsDelegate   = 0x00040000
	FlagEncPARep       = 0x00010000
	FlagAnonymous      = 0x00008000
)

// HostAddress is a client address (RFC 4120 section 5.2.5).
type HostAddress struct {
	Type int32
	Addr []byte
}

// Address types (RFC 4120 section 7.5.3).
const (
	AddrIPv4    = 2
	AddrNetBIOS = 20
	AddrIPv6    = 24
)

func readAddress(r *der.Reader) (a HostAddress) {
	r.Enter(der.TagSequence)
	a.Type = field(r, 0, (*der.Reader).Int32)
	a.Addr = field(r, 1, (*der.Reader).Octets)
	r.Leave()
	return a
}

func putAddress(w *der.Writer, a *HostAddress) {
	m := w.Mark()
	putOctets(w, 1, a.Addr)
	putInt(w, 0, int64(a.Type))
	w.Wrap(der.TagSequence, m)
}

// Transited is the list of realms a client came through (RFC 4120 section 5.3). Type 1 is
// DOMAIN-X500-COMPRESS.
type Transited struct {
	Type     int32
	Contents []byte
}

func readTransited(r *der.Reader) (t Transited) {
	r.Enter(der.TagSequence)
	t.Type = field(r, 0, (*der.Reader).Int32)
	t.Contents = field(r, 1, (*der.Reader).Octets)
	r.Leave()
	return t
}

// AppendTo writes TransitedEncoding.
func (t Transited) AppendTo(w *der.Writer) {
	m := w.Mark()
	putOctets(w, 1, t.Contents)
	putInt(w, 0, int64(t.Type))
	w.Wrap(der.TagSequence, m)
}

// EncTicketPart is the plaintext of a ticket (RFC 4120 section 5.3).
type EncTicketPart struct {
	Flags     uint32
	Key       EncryptionKey
	CRealm    []byte
	CName     PrincipalName
	Transited Transited
	AuthTime  int64
	StartTime Opt[int64] // absent: AuthTime
	EndTime   int64
	RenewTill Opt[int64]
	CAddr     []HostAddress
	AuthData  AuthorizationData
}

// Parse decodes EncTicketPart.
func (t *EncTicketPart) Parse(b []byte) error {
	return message(b, appEncTicketPart, func(r *der.Reader) {
		t.Flags = field(r, 0, (*der.Reader).Flags)
		t.Key = field(r, 1, readKey)
		t.CRealm = field(r, 2, (*der.Reader).GeneralString)
		t.CName = field(r, 3, readName)
		t.Transited = field(r, 4, readTransited)
		t.AuthTime = field(r, 5, (*der.Reader).Time)
		t.StartTime = optional(r, 6, (*der.Reader).Time)
		t.EndTime = field(r, 7, (*der.Reader).Time)
		t.RenewTill = optional(r, 8, (*der.Reader).Time)
		t.CAddr = optional(r, 9, listOf(readAddress)).V
		t.AuthData = optional(r, 10, readAuthData).V
	})
}

// AppendTo writes EncTicketPart.
func (t *EncTicketPart) AppendTo(w *der.Writer) {
	m := w.Mark()
	putAuthData(w, 10, t.AuthData)
	putList(w, 9, t.CAddr, putAddress)
	putOptTime(w, 8, t.RenewTill)
	putTime(w, 7, t.EndTime)
	putOptTime(w, 6, t.StartTime)
	putTime(w, 5, t.AuthTime)
	put(w, 4, t.Transited)
	put(w, 3, t.CName)
	putString(w, 2, t.CRealm)
	put(w, 1, t.Key)
	putFlags(w, 0, t.Flags)
	wrapMessage(w, appEncTicketPart, m)
}

// Start returns when the ticket becomes valid: StartTime, or AuthTime if there is none.
func (t *EncTicketPart) Start() int64 { return t.StartTime.Or(t.AuthTime) }
