package tgs

import (
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// draft is row 27: what the ticket will say (sections 3.3, 3.4, 5.5 and 5.6). A renewed or
// validated ticket keeps what the one shown says, but for what is done to it.
func draft(s *state) *exchange.Refusal {
	h, p := &s.header.Part, &s.part
	client, limits := s.ticketClient(), s.limits()
	p.CName, p.CRealm = client.Name, client.Realm
	p.AuthTime, p.CAddr = s.subject().AuthTime, h.CAddr
	switch {
	case s.option(krbmsg.OptValidate):
		p.Flags = h.Flags &^ krbmsg.FlagInvalid
		p.StartTime, p.EndTime, p.RenewTill = h.StartTime, h.EndTime, h.RenewTill
		return nil
	case s.option(krbmsg.OptRenew):
		p.Flags = h.Flags
	default:
		p.Flags = ticket.Flags(s.body.Options, limits, s.server, h)
		if s.self != nil && !s.referral && !s.selfForwardable() {
			p.Flags &^= krbmsg.FlagForwardable
		}
		if s.newAddresses() {
			p.CAddr = s.body.Addresses
		}
	}
	return s.times(limits)
}

// newAddresses reports whether the ticket gets the request's addresses, which are then in the
// reply too.
func (s *state) newAddresses() bool {
	return s.option(krbmsg.OptForwarded|krbmsg.OptProxy) && !s.option(krbmsg.OptRenew|krbmsg.OptValidate)
}

// times sets the times of the ticket and the RENEWABLE flag. limits may be nil.
func (s *state) times(limits *realm.Entry) *exchange.Refusal {
	h, p := &s.header.Part, &s.part
	ask := ticket.Ask{
		Start: s.now, Till: s.body.Till, RTime: s.body.RTime, Options: s.body.Options,
		Client: limits, Server: s.server, Settings: &s.r.Settings, Header: h,
	}
	if s.option(krbmsg.OptRenew) {
		// The new ticket lives as long as the old one did.
		p.EndTime = min(h.RenewTill.V, ticket.Clamp(s.now+h.EndTime-h.Start()))
	} else {
		if s.option(krbmsg.OptPostdated) {
			ask.Start = ticket.Clamp(s.body.From.V)
			if ask.Start <= s.now+s.r.ClockSkew {
				return exchange.Refuse(krbmsg.ErrCannotPostdate, "POSTDATE NOT ALLOWED").
					Becausef("start %d s from now", ask.Start-s.now)
			}
		}
		if s.body.Till != 0 && s.body.Till <= ask.Start {
			return exchange.Refuse(krbmsg.ErrNeverValid, "NEVER_VALID").
				Becausef("end %d s after the start", s.body.Till-ask.Start)
		}
		p.EndTime = ask.End()
	}
	p.StartTime = ticket.StartField(ask.Start, p.AuthTime)
	p.Flags &^= krbmsg.FlagRenewable
	if p.RenewTill = ask.RenewTill(p.EndTime); p.RenewTill.Set {
		p.Flags |= krbmsg.FlagRenewable
	}
	return nil
}

const statusSecondEtype = "BAD_ETYPE_IN_2ND_TKT"

// chooseSession is row 29. A user-to-user ticket gets a key of the type of the second ticket's
// if the client takes it.
func chooseSession(s *state) *exchange.Refusal {
	e, ok := ticket.SessionEtype(&s.r.Settings, s.body.Etypes, s.server)
	if s.option(krbmsg.OptEncTktInSkey) {
		theirs := krbcrypto.Enctype(s.second.Part.Key.Etype)
		if !s.r.Allows(theirs) {
			return exchange.Refuse(krbmsg.ErrEtypeNoSupp, statusSecondEtype).Becausef("enctype %d", theirs)
		}
		for _, n := range s.body.Etypes {
			if krbcrypto.Enctype(n) == theirs {
				e, ok = theirs, true
				break
			}
		}
	}
	var key *krbcrypto.Key
	if ok {
		var err error
		if key, err = krbcrypto.RandomKey(e); err != nil {
			ok = false
		}
	}
	if !ok {
		return exchange.Refuse(krbmsg.ErrEtypeNoSupp, "BAD_ENCRYPTION_TYPE")
	}
	s.part.Key = krbmsg.EncryptionKey{Etype: int32(key.Enctype()), Value: key.Bytes()}
	return nil
}

// findServerKey is row 30. A user-to-user ticket is sealed in the second ticket's session key.
func findServerKey(s *state) *exchange.Refusal {
	const status = "FINDING_SERVER_KEY"
	var err error
	if s.option(krbmsg.OptEncTktInSkey) {
		if s.sealKey, err = s.r.WireKey(s.second.Part.Key); err != nil {
			return exchange.Refuse(krbmsg.ErrEtypeNoSupp, statusSecondEtype).Because(err)
		}
		return nil
	}
	k, err := s.server.First()
	if err == nil {
		s.sealKey, err = k.Open()
	}
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	s.sealKvno = krbmsg.Some(k.Kvno)
	return nil
}
