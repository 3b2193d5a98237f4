package as

import (
	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// nobody is the client of anonymous tickets, and of messages that hide their client (RFC 8062).
var nobody = exchange.Principal{
	Name:  krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"),
	Realm: []byte("WELLKNOWN:ANONYMOUS"),
}

func isAnonymous(n krbmsg.PrincipalName) bool { return n.Is("WELLKNOWN", "ANONYMOUS") }

// draft is row 11: what the ticket will say. Unlike MIT krb5 it refuses a ticket that would
// have ended already, and one postdated to a time that is not in the future.
func draft(s *state) *exchange.Refusal {
	ask := ticket.Ask{
		Start: s.now, Till: s.body.Till, RTime: s.body.RTime, Options: s.body.Options,
		Client: s.client, Server: s.server, Settings: &s.r.Settings,
	}
	if s.option(krbmsg.OptPostdated) {
		ask.Start = ticket.Clamp(s.body.From.V)
		if ask.Start <= s.now+s.r.ClockSkew {
			return exchange.Refuse(krbmsg.ErrCannotPostdate, "POSTDATE NOT ALLOWED").
				Becausef("start %d s from now", ask.Start-s.now)
		}
	}
	end := ask.End()
	if end <= ask.Start {
		return exchange.Refuse(krbmsg.ErrNeverValid, "NEVER_VALID").Becausef("end %d s after the start", end-ask.Start)
	}
	p := &s.part
	p.Flags = ticket.Flags(s.body.Options, s.client, s.server, nil)
	p.CName, p.CRealm = s.cname.Name, s.client.CRealm
	s.service = s.sname.Name
	if s.option(krbmsg.OptCanonicalize) {
		p.CName = s.client.CName
		if realm.IsTGSName(s.sname.Name) && s.server.IsTGS() {
			s.service = s.server.CName
		}
	}
	p.Key = krbmsg.EncryptionKey{Etype: int32(s.session.Enctype()), Value: s.session.Bytes()}
	p.Transited = krbmsg.Transited{Type: 1, Contents: []byte{}}
	p.AuthTime = s.now
	p.StartTime = ticket.StartField(ask.Start, s.now)
	p.EndTime = end
	if p.RenewTill = ask.RenewTill(p.EndTime); p.RenewTill.Set {
		p.Flags |= krbmsg.FlagRenewable
	}
	p.CAddr = s.body.Addresses
	return nil
}

// anonymous is row 12: only WELLKNOWN/ANONYMOUS gets anonymous tickets, and not without
// preauthentication.
func anonymous(s *state) *exchange.Refusal {
	if !s.option(krbmsg.OptRequestAnonymous) {
		return nil
	}
	if !isAnonymous(s.cname.Name) {
		return exchange.Refuse(krbmsg.ErrBadOption, "VALIDATE_ANONYMOUS_PRINCIPAL")
	}
	s.anonymous = true
	s.cname = nobody
	s.part.CName, s.part.CRealm = nobody.Name, nobody.Realm
	return nil
}

// keyExpiration is the earlier of the two expirations of the client's entry.
func (s *state) keyExpiration() (none krbmsg.Opt[int64]) {
	account, password := s.client.Expire, s.client.PwExpire
	switch {
	case account == 0 && password == 0:
		return none
	case account == 0, password != 0 && password < account:
		return krbmsg.Some(int64(password))
	}
	return krbmsg.Some(int64(account))
}

// needsPreauth reports whether the client may have no ticket without preauthentication.
func (s *state) needsPreauth() bool {
	return s.anonymous || s.client.Has(dumpfmt.AttrRequiresPreAuth)
}
