package krbmsg

import "krealm/internal/der"

// KDCRep is AS-REP or TGS-REP (RFC 4120 section 5.4.2).
type KDCRep struct {
	AS      bool // AS-REP, else TGS-REP
	PAData  []PAData
	CRealm  []byte
	CName   PrincipalName
	Ticket  Ticket
	EncPart EncryptedData // of an EncKDCRepPart
}

// Parse decodes AS-REP or TGS-REP.
func (p *KDCRep) Parse(b []byte) error {
	app := uint8(appTGSRep)
	p.AS = len(b) > 0 && b[0] == byte(der.Application(appASRep))
	if p.AS {
		app = appASRep
	}
	return message(b, app, func(r *der.Reader) {
		constant(r, 0, 5)
		constant(r, 1, int32(app))
		p.PAData = optional(r, 2, listOf(readPAData)).V
		p.CRealm = field(r, 3, (*der.Reader).GeneralString)
		p.CName = field(r, 4, readName)
		p.Ticket = field(r, 5, readTicket)
		p.EncPart = field(r, 6, readEncryptedData)
	})
}

// AppendTo writes AS-REP or TGS-REP.
func (p *KDCRep) AppendTo(w *der.Writer) {
	app := uint8(appTGSRep)
	if p.AS {
		app = appASRep
	}
	m := w.Mark()
	put(w, 6, p.EncPart)
	put(w, 5, &p.Ticket)
	put(w, 4, p.CName)
	putString(w, 3, p.CRealm)
	putList(w, 2, p.PAData, putPAData)
	putInt(w, 1, int64(app))
	putInt(w, 0, 5)
	wrapMessage(w, app, m)
}

// LastReq is one element of last-req (RFC 4120 section 5.4.2).
type LastReq struct {
	Type int32
	Time int64
}

// EncKDCRepPart is the plaintext of a reply (RFC 4120 section 5.4.2, RFC 6806).
type EncKDCRepPart struct {
	ASTag         bool // application tag 25; else 26, which MIT krb5 sends in both exchanges
	Key           EncryptionKey
	LastReq       []LastReq
	Nonce         int64
	KeyExpiration Opt[int64]
	Flags         uint32
	AuthTime      int64
	StartTime     Opt[int64]
	EndTime       int64
	RenewTill     Opt[int64]
	SRealm        []byte
	SName         PrincipalName
	CAddr         []HostAddress
	PAData        []PAData // encrypted-pa-data
}

// Parse decodes EncASRepPart or EncTGSRepPart.
func (p *EncKDCRepPart) Parse(b []byte) error {
	app := uint8(appEncTGSRepPart)
	p.ASTag = len(b) > 0 && b[0] == byte(der.Application(appEncASRepPart))
	if p.ASTag {
		app = appEncASRepPart
	}
	return message(b, app, func(r *der.Reader) {
		p.Key = field(r, 0, readKey)
		p.LastReq = field(r, 1, listOf(readLastReq))
		p.Nonce = field(r, 2, (*der.Reader).Nonce)
		p.KeyExpiration = optional(r, 3, (*der.Reader).Time)
		p.Flags = field(r, 4, (*der.Reader).Flags)
		p.AuthTime = field(r, 5, (*der.Reader).Time)
		p.StartTime = optional(r, 6, (*der.Reader).Time)
		p.EndTime = field(r, 7, (*der.Reader).Time)
		p.RenewTill = optional(r, 8, (*der.Reader).Time)
		p.SRealm = field(r, 9, (*der.Reader).GeneralString)
		p.SName = field(r, 10, readName)
		p.CAddr = optional(r, 11, listOf(readAddress)).V
		p.PAData = optional(r, 12, listOf(readPAData)).V
	})
}

func readLastReq(r *der.Reader) (l LastReq) {
	r.Enter(der.TagSequence)
	l.Type = field(r, 0, (*der.Reader).Int32)
	l.Time = field(r, 1, (*der.Reader).Time)
	r.Leave()
	return l
}

// AppendTo writes EncASRepPart or EncTGSRepPart.
func (p *EncKDCRepPart) AppendTo(w *der.Writer) {
	m := w.Mark()
	putList(w, 12, p.PAData, putPAData)
	putList(w, 11, p.CAddr, putAddress)
	put(w, 10, p.SName)
	putString(w, 9, p.SRealm)
	putOptTime(w, 8, p.RenewTill)
	putTime(w, 7, p.EndTime)
	putOptTime(w, 6, p.StartTime)
	putTime(w, 5, p.AuthTime)
	putFlags(w, 4, p.Flags)
	putOptTime(w, 3, p.KeyExpiration)
	putInt(w, 2, p.Nonce)
	putList(w, 1, nonNil(p.LastReq), func(w *der.Writer, l *LastReq) {
		m := w.Mark()
		putTime(w, 1, l.Time)
		putInt(w, 0, int64(l.Type))
		w.Wrap(der.TagSequence, m)
	})
	put(w, 0, p.Key)
	if p.ASTag {
		wrapMessage(w, appEncASRepPart, m)
	} else {
		wrapMessage(w, appEncTGSRepPart, m)
	}
}
