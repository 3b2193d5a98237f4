package tgs

import (
	"errors"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// oldTGTKvnos is how many krbtgt versions before the current one may have signed a PAC.
const oldTGTKvnos = 2

// checkHeaderPAC is row 5.
func checkHeaderPAC(s *state) *exchange.Refusal {
	p, refusal := s.verifiedPAC(s.header, s.hServer, "HEADER_PAC")
	s.hPAC = p
	return refusal
}

// verifiedPAC returns the PAC of a ticket with every signature checked, nil if it has none
// (section 6.3). In tickets for a TGS only the server signature counts: another realm signs the
// others with keys of its own.
func (s *state) verifiedPAC(t *ticket.Opened, server *realm.Entry, status string) (*pac.PAC, *exchange.Refusal) {
	p, err := pac.Contained(t.Part.AuthData)
	if err == nil && p != nil {
		switch {
		case server.IsTGS():
			err = p.VerifyServer(t.Key)
		case server.CName.Is("kadmin", "changepw"):
			err = p.VerifyKDC(t.Key, s.pacKeys(server))
		default:
			err = p.VerifyService(&t.Part, t.Key, s.pacKeys(server))
		}
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, pac.ErrMissing), errors.Is(err, pac.ErrMalformed):
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	return nil, exchange.Refuse(krbmsg.ErrModified, status).Because(err)
}

// pacKeys returns the keys that may have made the KDC's signatures in a service ticket, the
// current one first.
func (s *state) pacKeys(server *realm.Entry) []*krbcrypto.Key {
	var keys []*krbcrypto.Key
	wanted := server.Attr("pac_privsvr_enctype")
	for i := uint32(0); i <= oldTGTKvnos && i < s.tgtKey.Kvno; i++ {
		k, err := s.tgt.FirstOf(s.tgtKey.Kvno - i)
		if err != nil {
			continue
		}
		tgt, err := k.Open()
		if err != nil {
			continue
		}
		if key, err := pac.KDCKey(tgt, wanted); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// attrPassThrough is the string attribute of a krbtgt entry that names the buffers to be passed on
// from PACs in tickets of its issuer: krbtgt/OURS@THEIRS of a realm that is trusted to say such
// things, krbtgt/OURS@OURS for what was passed on before.
const attrPassThrough = "pac_pass_through"

// pacBuffers is the content of the new PAC but for the signatures (sections 6.2 and 6.3). It is
// made afresh: from the subject's comes only who the client is, which was compared with the
// ticket, who delegated, and what its issuer is trusted to say.
func (s *state) pacBuffers() ([]pac.Buffer, error) {
	subject, issuer := s.subjectPAC(), s.subjectServer()
	if !issuer.IsTGS() {
		issuer = s.tgt
	}
	var out []pac.Buffer
	if list := issuer.Attr(attrPassThrough); list != "" {
		var err error
		if out, err = subject.Passed(pac.ParseTypes(list)); err != nil {
			return nil, err
		}
	}
	info, err := s.clientInfo(subject)
	if err != nil {
		return nil, err
	}
	return s.delegationInfo(append(out, pac.Buffer{Type: pac.TypeClientInfo, Data: info}))
}

// clientInfo is who the new PAC says the client is. A TGT for the next realm on the way of a
// service that asks in the name of a user is the service's, and its PAC is the user's, with
// realm.
func (s *state) clientInfo(subject *pac.PAC) ([]byte, error) {
	user := s.evidenced
	switch {
	case s.self != nil:
		user = s.self.user
	case !s.proxied():
		b, err := subject.Find(pac.TypeClientInfo)
		if err != nil {
			return nil, err
		}
		return b.Data, nil
	}
	if s.referral {
		return pac.ClientInfoRealm(user.Name, user.Realm, s.part.AuthTime)
	}
	return pac.ClientInfo(s.part.CName, s.part.AuthTime)
}
