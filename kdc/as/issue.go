package as

import (
	"slices"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/der"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
	"krealm/kdc/exchange"
	"krealm/kdc/fast"
	"krealm/kdc/pac"
	"krealm/kdc/ticket"
)

// findServerKey is row 18.
func findServerKey(s *state) *exchange.Refusal {
	k, err := s.server.First()
	if err == nil {
		_, err = k.Open()
	}
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "FINDING_SERVER_KEY").Because(err)
	}
	s.serverKey = k
	return nil
}

// authorize is row 21: PAC and CAMMAC.
func authorize(s *state) *exchange.Refusal {
	const status = "HANDLE_AUTHDATA"
	fail := func(err error) *exchange.Refusal {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	keys := authdata.Keys{TGTKvno: s.tgtKey.Kvno}
	var err error
	if keys.Server, err = s.serverKey.Open(); err != nil {
		return fail(err)
	}
	if keys.TGT, err = s.tgtKey.Open(); err != nil {
		return fail(err)
	}
	if keys.PAC, err = pac.KDCKey(keys.TGT, s.server.Attr("pac_privsvr_enctype")); err != nil {
		return fail(err)
	}
	c := authdata.Content{Service: !s.server.IsTGS() && !s.server.CName.Is("kadmin", "changepw")}
	plain := s.server.Has(dumpfmt.AttrNoAuthDataRequired)
	if !plain {
		c.Indicators = s.pre.Indicators
	}
	if !plain && !s.r.DisablePAC && !s.anonymous && s.wantsPAC() {
		info, err := pac.ClientInfo(s.part.CName, s.part.AuthTime)
		if err != nil {
			return fail(err)
		}
		c.PAC = []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}
	}
	authdata.Compose(&s.part, &c, &keys)
	return nil
}

// wantsPAC is true unless the client says no; a damaged PA-PAC-REQUEST says nothing.
func (s *state) wantsPAC() bool {
	value, ok := krbmsg.FindPA(s.padata, krbmsg.PAPACRequest)
	if !ok {
		return true
	}
	var p krbmsg.PACRequest
	return p.Parse(value) != nil || p.Include
}

// requireIndicators is row 22: a server may ask for one of a list of ways to authenticate.
func requireIndicators(s *state) *exchange.Refusal {
	wanted := strings.Fields(s.server.Attr("require_auth"))
	if len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(s.pre.Indicators, w) }) {
		return nil
	}
	return exchange.Refuse(krbmsg.ErrPolicy, "HIGHER_AUTHENTICATION_REQUIRED").
		Becausef("Required auth indicators not present in ticket: %s", strings.Join(wanted, " "))
}

// encryptedPAData is row 23, but for the checksum of the request, which needs the final key.
func encryptedPAData(s *state) *exchange.Refusal {
	value, ok := krbmsg.FindPA(s.padata, krbmsg.PAPACOptions)
	if !ok {
		return nil
	}
	var p krbmsg.PACOptions
	if err := p.Parse(value); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "KDC_RETURN_ENC_PADATA").Because(err)
	}
	if p.Flags &= krbmsg.PACOptionRBCD; p.Flags != 0 {
		s.encPA = append(s.encPA, krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(p)})
	}
	return nil
}

// issue seals ticket and reply (section 4.10).
func issue(s *state) *exchange.Refusal {
	key, err := s.serverKey.Open()
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "FINDING_SERVER_KEY").Because(err)
	}
	rep := krbmsg.KDCRep{AS: true, PAData: s.replyPA, CRealm: s.part.CRealm, CName: s.part.CName}
	rep.Ticket = ticket.Seal(s.service, s.server.CRealm, &s.part, key, krbmsg.Some(s.serverKey.Kvno))
	if s.armor != nil {
		rep.Ticket.Raw = krbmsg.Marshal(&rep.Ticket)
		strengthen, strong, err := fast.Strengthen(s.replyKey)
		if err != nil {
			return exchange.Refuse(krbmsg.ErrGeneric, "KDC_RETURN_PADATA").Because(err)
		}
		client := exchange.Principal{Name: s.part.CName, Realm: s.part.CRealm}
		rep.PAData = []krbmsg.PAData{s.armor.Reply(s.replyPA, strengthen, rep.Ticket.Raw, client, s.body.Nonce, s.req.Now)}
		s.replyKey = strong
		if s.armor.Hide {
			rep.CName, rep.CRealm = nobody.Name, nobody.Realm
		}
	}
	if s.wantEncPA {
		s.encPA = append(fast.RequestChecksum(s.replyKey, s.req.Msg), s.encPA...)
	}
	w := der.NewWriter(1024)
	s.encPart().AppendTo(w)
	rep.EncPart = krbmsg.EncryptedData{
		Etype:  int32(s.replyKey.Enctype()),
		Cipher: s.replyKey.Encrypt(nil, krbcrypto.UsageASRepEncPart, w.Bytes()),
	}
	s.out.Reply = krbmsg.Marshal(&rep)
	ev := &s.out.Event
	ev.Status, ev.AuthTime = exchange.StatusIssue, s.part.AuthTime
	ev.RepEtype, ev.TktEtype, ev.SesEtype = rep.EncPart.Etype, rep.Ticket.EncPart.Etype, s.part.Key.Etype
	return nil
}

// encPart is the part of the reply that only the client can read. As in MIT krb5 it has the
// application tag of a TGS reply unless the settings want that of RFC 4120; clients take either.
func (s *state) encPart() *krbmsg.EncKDCRepPart {
	return &krbmsg.EncKDCRepPart{
		ASTag:         s.r.ASTag,
		Key:           s.part.Key,
		LastReq:       []krbmsg.LastReq{{}},
		Nonce:         s.body.Nonce,
		KeyExpiration: s.keyExpiration(),
		Flags:         s.part.Flags,
		AuthTime:      s.part.AuthTime,
		StartTime:     s.part.StartTime,
		EndTime:       s.part.EndTime,
		RenewTill:     s.part.RenewTill,
		SRealm:        s.server.CRealm,
		SName:         s.service,
		CAddr:         s.body.Addresses,
		PAData:        s.encPA,
	}
}
