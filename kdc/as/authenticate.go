package as

import (
	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/preauth"
)

// findClientKey is row 13. A client without a key that fits is refused later, after
// preauthentication had its chance to provide one.
func findClientKey(s *state) *exchange.Refusal {
	k := s.client.ClientKey(s.body.Etypes)
	if k == nil {
		return nil
	}
	key, err := k.Open()
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "DECRYPT_CLIENT_KEY").Because(err)
	}
	s.clientKey, s.replyKey = k, key
	return nil
}

func (s *state) preauthContext() *preauth.Context {
	c := &preauth.Context{
		Realm: s.r, Client: s.client, Key: s.clientKey, TGT: s.tgt,
		Body: s.body, RawBody: s.rawBody, PAData: s.padata, Now: s.req.Now,
	}
	if s.armor != nil {
		c.Armor = s.armor.Key
	}
	return c
}

// verifyPreauth is row 15. Padata is verified even where none is required: a wrong one fails
// the request.
func verifyPreauth(s *state) *exchange.Refusal {
	res, notes, refusal := preauth.Verify(s.preauthContext(), s.padata)
	s.out.Event.Notes = append(s.out.Event.Notes, notes...)
	s.pre = res
	if refusal != nil {
		return refusal
	}
	s.replyPA = append(s.replyPA, res.Reply...)
	if res.ReplyKey != nil {
		s.replyKey = res.ReplyKey
	}
	if res.PreAuth {
		s.part.Flags |= krbmsg.FlagPreAuth
	}
	if res.HWAuth {
		s.part.Flags |= krbmsg.FlagHWAuth
	}
	return nil
}

// requirePreauth is row 16.
func requirePreauth(s *state) *exchange.Refusal {
	switch {
	case s.needsPreauth() && !s.pre.PreAuth:
		return exchange.Refuse(krbmsg.ErrPreauthRequired, "NEEDED_PREAUTH")
	case s.client.Has(dumpfmt.AttrRequiresHWAuth) && !s.pre.HWAuth:
		return exchange.Refuse(krbmsg.ErrPreauthRequired, "NEEDED_HW_PREAUTH")
	}
	return nil
}

// chooseReplyKey is rows 19 and 20.
func chooseReplyKey(s *state) *exchange.Refusal {
	if s.replyKey == nil {
		return exchange.Refuse(krbmsg.ErrEtypeNoSupp, "CANT_FIND_CLIENT_KEY")
	}
	if s.clientKey != nil {
		s.replyPA = append(s.replyPA, preauth.SaltInfo(s.body.Etypes, s.clientKey)...)
	}
	return nil
}
