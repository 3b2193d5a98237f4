package tgs

import (
	"errors"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
	"krealm/kdc/exchange"
	"krealm/kdc/fast"
	"krealm/kdc/ticket"
)

const statusProcess = "PROCESS_TGS"

func process(code int32) *exchange.Refusal { return exchange.Refuse(code, statusProcess) }

// silent makes a refusal one that the client does not hear of.
func silent(r *exchange.Refusal) *exchange.Refusal {
	r.Silent = true
	return r
}

// undecryptable is the code for a ciphertext that does not open: 31, but 60 for one that is too
// short to be one, or of an enctype that is not the key's.
func undecryptable(err error) int32 {
	if errors.Is(err, krbcrypto.ErrLength) || errors.Is(err, krbcrypto.ErrUnsupported) {
		return krbmsg.ErrGeneric
	}
	return krbmsg.ErrBadIntegrity
}

// openHeader is row 1: the verification of PA-TGS-REQ, section 5.2.
func openHeader(s *state) *exchange.Refusal {
	for _, check := range []func(*state) *exchange.Refusal{
		decodeHeader, openTicket, openAuthenticator, checkHolder, checkLife, checkKeys, checkBody,
	} {
		if r := check(s); r != nil {
			return r
		}
	}
	return nil
}

// decodeHeader is rows 1 to 3 of 5.2.
//
// Before them come the two things without which MIT krb5 does not even begin (section 2): a
// message type that fits, and a server name outside the armor.
func decodeHeader(s *state) *exchange.Refusal {
	if s.q.MsgType != krbmsg.MsgTGSReq {
		return silent(process(krbmsg.ErrGeneric).Becausef("message type %d", s.q.MsgType))
	}
	if r := serverName(s); r != nil {
		return r
	}
	value, ok := krbmsg.FindPA(s.q.PAData, krbmsg.PATGSReq)
	if !ok {
		return process(krbmsg.ErrPADataTypeNoSupp)
	}
	s.tgsReq = value
	if err := s.ap.Parse(value); err != nil {
		return process(krbmsg.ErrGeneric).Because(err)
	}
	if s.ap.Options&(krbmsg.APUseSessionKey|krbmsg.APMutualRequired) != 0 {
		return process(krbmsg.ErrPolicy).Becausef("AP options %08x", s.ap.Options)
	}
	return nil
}

// openTicket is rows 4 to 6 of 5.2.
func openTicket(s *state) *exchange.Refusal {
	t := &s.ap.Ticket
	server, ok := s.r.Resolve(t.SName, t.Realm)
	if !ok || server.Foreign || server.Attributes&(dumpfmt.AttrDisallowSvr|dumpfmt.AttrDisallowAllTix) != 0 {
		return process(krbmsg.ErrSPrincipalUnknown).Becausef("ticket is for %s", t.SName.Unparse(t.Realm))
	}
	s.hServer = server
	opened, err := ticket.Open(t, server)
	switch {
	case errors.Is(err, ticket.ErrIntegrity):
		return process(krbmsg.ErrBadIntegrity).Because(err)
	case err != nil:
		return process(krbmsg.ErrGeneric).Because(err)
	}
	s.header = opened
	s.out.Event.Client, s.out.Event.AuthTime = s.client().String(), opened.Part.AuthTime
	if s.session, err = s.r.WireKey(opened.Part.Key); err != nil {
		return process(krbmsg.ErrGeneric).Because(err)
	}
	return nil
}

// openAuthenticator is row 7 of 5.2.
func openAuthenticator(s *state) *exchange.Refusal {
	enc := &s.ap.Authenticator
	if enc.Etype != int32(s.session.Enctype()) {
		return process(krbmsg.ErrGeneric).Becausef("authenticator of enctype %d", enc.Etype)
	}
	plain, err := s.session.Decrypt(nil, krbcrypto.UsageTGSReqAuth, enc.Cipher)
	if err != nil {
		return process(undecryptable(err)).Because(err)
	}
	if err := s.auth.Parse(plain); err != nil {
		return process(krbmsg.ErrGeneric).Because(err)
	}
	return nil
}

// checkHolder is rows 8 to 10 of 5.2: who uses the ticket, from where, and how it got here.
func checkHolder(s *state) *exchange.Refusal {
	p := &s.header.Part
	if !s.auth.CName.Equal(p.CName) || string(s.auth.CRealm) != string(p.CRealm) {
		return process(krbmsg.ErrBadMatch).Becausef("authenticator is of %s", s.auth.CName.Unparse(s.auth.CRealm))
	}
	if !ticket.AddressAllowed(p.CAddr, s.req.From) {
		return process(krbmsg.ErrBadAddr)
	}
	if code, err := ticket.Transited(p, string(s.ap.Ticket.Realm), s.r.TransitPath); err != nil {
		return process(code).Because(err)
	}
	return nil
}

// checkLife is rows 11 and 12 of 5.2.
func checkLife(s *state) *exchange.Refusal {
	if code := ticket.Validity(&s.header.Part, s.now, s.r.ClockSkew); code != 0 {
		return process(code)
	}
	if d := s.auth.CTime - s.now; d > s.r.ClockSkew || d < -s.r.ClockSkew {
		return process(krbmsg.ErrSkew).Becausef("client's clock is %d s ahead", d)
	}
	return nil
}

// checkKeys is rows 13 and 14 of 5.2. Keys of an armor ticket prove nothing about a client.
func checkKeys(s *state) *exchange.Refusal {
	if s.auth.Subkey.Set {
		var err error
		if s.subkey, err = s.r.WireKey(s.auth.Subkey.V); err != nil {
			return process(krbmsg.ErrGeneric).Because(err)
		}
	}
	for _, ad := range []krbmsg.AuthorizationData{s.header.Part.AuthData, s.auth.AuthData} {
		found, err := authdata.Find(ad, krbmsg.ADFXArmor)
		switch {
		case err != nil:
			return process(krbmsg.ErrGeneric).Because(err)
		case len(found) > 0:
			return process(krbmsg.ErrPolicy).Becausef("ticket or authenticator is FAST armor")
		}
	}
	return nil
}

// checkBody is rows 15 to 17 of 5.2: the authenticator must cover the request. Plain MD5 and
// SHA-1 will do, since the checksum itself is encrypted.
func checkBody(s *state) *exchange.Refusal {
	if !s.auth.Cksum.Set {
		return process(krbmsg.ErrInappCksum).Becausef("no checksum")
	}
	sum := s.auth.Cksum.V
	if !krbcrypto.IsCollisionProof(sum.Type) {
		return process(krbmsg.ErrSumtypeNoSupp).Becausef("checksum type %d", sum.Type)
	}
	err := krbcrypto.VerifyAny(s.session, sum.Type, krbcrypto.UsageTGSReqAuthCksum, s.q.RawBody, sum.Sum)
	if err != nil {
		// A client may have made the checksum over an encoding of its own.
		again := krbmsg.Marshal(&s.q.Body)
		err = krbcrypto.VerifyAny(s.session, sum.Type, krbcrypto.UsageTGSReqAuthCksum, again, sum.Sum)
	}
	if err != nil {
		return process(undecryptable(err)).Because(err)
	}
	return nil
}

// openArmor is row 2: from here on the request inside the armor counts. A refusal is armored too
// if the armor's key is known by then.
func openArmor(s *state) *exchange.Refusal {
	value, ok := krbmsg.FindPA(s.q.PAData, krbmsg.PAFXFast)
	if !ok {
		return nil
	}
	a, refusal := fast.OpenTGS(value, s.tgsReq, s.session, s.subkey)
	s.armor = a
	if refusal != nil {
		return refusal
	}
	s.body, s.padata = &a.Req.Body, a.Req.PAData
	s.noteRequest()
	return nil
}

// serverName is row 3. Without a server name not even an error can be encoded.
func serverName(s *state) *exchange.Refusal {
	if !s.body.SName.Set {
		return silent(exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "NULL_SERVER"))
	}
	return nil
}
