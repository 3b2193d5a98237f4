package as

import (
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
)

// findClient is row 5.
func findClient(s *state) *exchange.Refusal {
	e, ok := s.lookupClient()
	// Another realm is named only to clients that can follow.
	if !ok || e.Foreign && !s.option(krbmsg.OptCanonicalize) && s.cname.Name.Type != krbmsg.NTEnterprise {
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "CLIENT_NOT_FOUND")
	}
	s.client = e
	return nil
}

// lookupClient finds the client's entry. An enterprise name, a single component that looks
// like an address, is looked up as the principal it spells if its realm is ours.
func (s *state) lookupClient() (*realm.Entry, bool) {
	name := s.cname.Name
	if n, ok := realm.Enterprise(name, s.r.Name); ok && n.Realm == s.r.Name {
		return s.r.Resolve(krbmsg.NewName(krbmsg.NTPrincipal, n.Components...), []byte(n.Realm))
	}
	return s.r.Resolve(name, s.cname.Realm)
}

// findServer is row 6.
func findServer(s *state) *exchange.Refusal {
	e, ok := s.r.Resolve(s.sname.Name, s.sname.Realm)
	if !ok || e.Foreign {
		return exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "SERVER_NOT_FOUND")
	}
	s.server = e
	return nil
}

// sameRealm is row 7: a client whose name is an alias for one in another realm is sent there.
func sameRealm(s *state) *exchange.Refusal {
	if string(s.client.CRealm) == string(s.server.CRealm) {
		return nil
	}
	r := exchange.Refuse(krbmsg.ErrWrongRealm, "REFERRAL")
	r.Client = &exchange.Principal{Name: s.client.CName, Realm: s.client.CRealm}
	return r
}

// findLocalTGT is row 8. Its first key signs PACs and seals cookies, for whatever server the
// ticket is.
func findLocalTGT(s *state) *exchange.Refusal {
	const status = "GET_LOCAL_TGT"
	e, ok := s.r.LocalTGT()
	if !ok {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Becausef("no entry for the realm's krbtgt")
	}
	k, err := e.First()
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	if _, err := k.Open(); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	s.tgt, s.tgtKey = e, k
	return nil
}
