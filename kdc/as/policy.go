package as

import (
	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/lockout"
	"krealm/kdc/ticket"
)

// tgsOnlyOptions make no sense without a ticket to show.
const tgsOnlyOptions = krbmsg.OptForwarded | krbmsg.OptProxy | krbmsg.OptRenew | krbmsg.OptValidate |
	krbmsg.OptEncTktInSkey | krbmsg.OptCNameInAddlTkt

// rules is rows 9.1 to 9.11: whether the entries allow the request. They hold for the first
// that is broken.
var rules = []struct {
	code   int32
	status string
	broken func(s *state) bool
}{
	{krbmsg.ErrBadOption, "INVALID AS OPTIONS", func(s *state) bool { return s.option(tgsOnlyOptions) }},
	{krbmsg.ErrNameExp, "CLIENT EXPIRED", func(s *state) bool { return passed(s.client.Expire, s.now) }},
	{krbmsg.ErrKeyExpired, "CLIENT KEY EXPIRED", func(s *state) bool {
		return passed(s.client.PwExpire, s.now) && !s.server.Has(dumpfmt.AttrPwChangeService)
	}},
	{krbmsg.ErrServiceExp, "SERVICE EXPIRED", func(s *state) bool { return passed(s.server.Expire, s.now) }},
	{krbmsg.ErrKeyExpired, "REQUIRED PWCHANGE", func(s *state) bool {
		return s.client.Has(dumpfmt.AttrRequiresPwChange) && !s.server.Has(dumpfmt.AttrPwChangeService)
	}},
	{krbmsg.ErrCannotPostdate, "POSTDATE NOT ALLOWED", func(s *state) bool {
		return s.option(krbmsg.OptAllowPostdate|krbmsg.OptPostdated) &&
			(s.client.Has(dumpfmt.AttrDisallowPostdated) || s.server.Has(dumpfmt.AttrDisallowPostdated))
	}},
	{krbmsg.ErrClientRevoked, "CLIENT LOCKED OUT", func(s *state) bool { return s.client.Has(dumpfmt.AttrDisallowAllTix) }},
	{krbmsg.ErrSPrincipalUnknown, "SERVICE LOCKED OUT", func(s *state) bool { return s.server.Has(dumpfmt.AttrDisallowAllTix) }},
	{krbmsg.ErrMustUseUser2User, "SERVICE NOT ALLOWED", func(s *state) bool { return s.server.Has(dumpfmt.AttrDisallowSvr) }},
	{krbmsg.ErrPolicy, "ANONYMOUS NOT ALLOWED", func(s *state) bool {
		return s.r.RestrictAnon && isAnonymous(s.cname.Name) && !s.server.IsLocalTGS()
	}},
	{krbmsg.ErrClientRevoked, "LOCKED_OUT", func(s *state) bool { return lockout.Locked(s.r, s.client, s.now) }},
}

// policy is row 9.
func policy(s *state) *exchange.Refusal {
	for _, r := range rules {
		if r.broken(s) {
			return exchange.Refuse(r.code, r.status)
		}
	}
	return nil
}

// passed reports whether an expiration, 0 for never, is over.
func passed(expiration uint32, now int64) bool {
	return expiration != 0 && int64(expiration) < now
}

// chooseSession is row 10.
func chooseSession(s *state) *exchange.Refusal {
	e, ok := ticket.SessionEtype(&s.r.Settings, s.body.Etypes, s.server)
	if !ok {
		return exchange.Refuse(krbmsg.ErrEtypeNoSupp, "BAD_ENCRYPTION_TYPE")
	}
	key, err := krbcrypto.RandomKey(e)
	if err != nil {
		return exchange.Refuse(krbmsg.ErrEtypeNoSupp, "BAD_ENCRYPTION_TYPE").Because(err)
	}
	s.session = key
	return nil
}
