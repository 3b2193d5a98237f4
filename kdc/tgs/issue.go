package tgs

import (
	"errors"
	"fmt"

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

const statusAuthdata = "HANDLE_AUTHDATA"

// authorize is row 31: authorization data of the request and of the subject ticket, a PAC if
// that one has it, and the indicators.
func authorize(s *state) *exchange.Refusal {
	wanted, refusal := s.requestAuthData()
	if refusal != nil {
		return refusal
	}
	subject := s.subject().AuthData
	if authdata.Has(wanted, krbmsg.ADMandatoryKDC) || authdata.Has(subject, krbmsg.ADMandatoryKDC) {
		return exchange.Refuse(krbmsg.ErrPolicy, statusAuthdata).Becausef("AD-MANDATORY-FOR-KDC is not understood")
	}
	c := authdata.Content{
		Carried: append(authdata.Filter(wanted), authdata.Filter(subject)...),
		Service: !s.server.IsTGS() && !s.server.CName.Is("kadmin", "changepw"),
	}
	plain := s.server.Has(dumpfmt.AttrNoAuthDataRequired) && s.self == nil
	if !plain && s.self == nil {
		c.Indicators = s.indicators
	}
	if s.subjectPAC() != nil && !plain && !s.r.DisablePAC && s.part.Flags&krbmsg.FlagAnonymous == 0 {
		var err error
		if c.PAC, err = s.pacBuffers(); err != nil {
			return exchange.Refuse(krbmsg.ErrGeneric, statusAuthdata).Because(err)
		}
	}
	tgt, err := s.tgtKey.Open()
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, statusAuthdata).Because(err)
	}
	keys := authdata.Keys{Server: s.sealKey, TGT: tgt, TGTKvno: s.tgtKey.Kvno}
	if keys.PAC, err = pac.KDCKey(tgt, s.server.Attr("pac_privsvr_enctype")); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, statusAuthdata).Because(err)
	}
	authdata.Compose(&s.part, &c, &keys)
	return nil
}

// requestAuthData decrypts the authorization data that the client adds: with the session key,
// else with the reply key.
func (s *state) requestAuthData() (krbmsg.AuthorizationData, *exchange.Refusal) {
	enc := s.body.AuthData.V
	if len(enc.Cipher) == 0 {
		return nil, nil
	}
	reply := s.session
	if s.subkey != nil {
		reply = s.subkey
	}
	plain, err := openAuthData(enc, s.session, krbcrypto.UsageTGSReqADSession)
	if err != nil {
		plain, err = openAuthData(enc, reply, krbcrypto.UsageTGSReqADSubkey)
	}
	var ad krbmsg.AuthorizationData
	if err == nil {
		if err = ad.Parse(plain); err == nil {
			return ad, nil
		}
	}
	code := int32(krbmsg.ErrGeneric)
	if errors.Is(err, krbcrypto.ErrIntegrity) && !errors.Is(err, krbcrypto.ErrLength) {
		code = krbmsg.ErrBadIntegrity
	}
	return nil, exchange.Refuse(code, statusAuthdata).Because(err)
}

func openAuthData(enc krbmsg.EncryptedData, key *krbcrypto.Key, usage uint32) ([]byte, error) {
	if enc.Etype != int32(key.Enctype()) {
		return nil, fmt.Errorf("authorization data of enctype %d: %w", enc.Etype, krbcrypto.ErrUnsupported)
	}
	return key.Decrypt(nil, usage, enc.Cipher)
}

// encryptedPAData is row 32, but for the checksum of the request, which needs the final key.
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
		s.pacOptions = krbmsg.Marshal(p)
	}
	return nil
}

// issue seals ticket and reply (section 5.5).
func issue(s *state) *exchange.Refusal {
	user, err := s.selfReply()
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "KDC_RETURN_PADATA").Because(err)
	}
	rep := krbmsg.KDCRep{CRealm: s.part.CRealm, CName: s.part.CName, PAData: user}
	rep.Ticket = ticket.Seal(s.issued, s.server.CRealm, &s.part, s.sealKey, s.sealKvno)
	key, usage := s.session, krbcrypto.UsageTGSRepSession
	if s.subkey != nil {
		key, usage = s.subkey, krbcrypto.UsageTGSRepSubkey
	}
	if s.armor != nil {
		rep.Ticket.Raw = krbmsg.Marshal(&rep.Ticket)
		strengthen, strong, err := fast.Strengthen(key)
		if err != nil {
			return exchange.Refuse(krbmsg.ErrGeneric, "KDC_RETURN_PADATA").Because(err)
		}
		client := exchange.Principal{Name: s.part.CName, Realm: s.part.CRealm}
		armored := s.armor.Reply(rep.PAData, strengthen, rep.Ticket.Raw, client, s.body.Nonce, s.req.Now)
		rep.PAData, key = []krbmsg.PAData{armored}, strong
		if s.armor.Hide {
			rep.CName, rep.CRealm = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"), []byte("WELLKNOWN:ANONYMOUS")
		}
	}
	if _, ok := krbmsg.FindPA(s.padata, krbmsg.PAReqEncPARep); ok {
		s.encPA = append(s.encPA, fast.RequestChecksum(key, s.req.Msg)...)
	}
	if s.pacOptions != nil {
		s.encPA = append(s.encPA, krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: s.pacOptions})
	}
	w := der.NewWriter(1024)
	s.encPart().AppendTo(w)
	rep.EncPart = krbmsg.EncryptedData{Etype: int32(key.Enctype()), Cipher: key.Encrypt(nil, usage, w.Bytes())}
	s.out.Reply = krbmsg.Marshal(&rep)
	ev := &s.out.Event
	ev.Status, ev.AuthTime = exchange.StatusIssue, s.part.AuthTime
	ev.RepEtype, ev.TktEtype, ev.SesEtype = rep.EncPart.Etype, rep.Ticket.EncPart.Etype, s.part.Key.Etype
	return nil
}

// encPart is the part of the reply that only the client can read. Addresses are in it only if
// they are the request's.
func (s *state) encPart() *krbmsg.EncKDCRepPart {
	p := &krbmsg.EncKDCRepPart{
		Key:       s.part.Key,
		LastReq:   []krbmsg.LastReq{{}},
		Nonce:     s.body.Nonce,
		Flags:     s.part.Flags,
		AuthTime:  s.part.AuthTime,
		StartTime: s.part.StartTime,
		EndTime:   s.part.EndTime,
		RenewTill: s.part.RenewTill,
		SRealm:    s.server.CRealm,
		SName:     s.issued,
		PAData:    s.encPA,
	}
	if s.newAddresses() {
		p.CAddr = s.body.Addresses
	}
	return p
}
