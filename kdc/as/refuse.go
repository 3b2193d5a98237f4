package as

import (
	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/preauth"
)

// refuse turns a refusal into the answer and the log event.
func (s *state) refuse(r *exchange.Refusal) {
	ev := &s.out.Event
	ev.Status, ev.Code, ev.Err = r.Status, r.Code, r.Err
	if r.Silent || !s.body.SName.Set { // an error names the server
		return
	}
	if hints := s.hints(r); hints != nil {
		r.PAData = hints
	}
	var client *exchange.Principal
	if s.body.CName.Set {
		client = &s.cname
	}
	if s.r.VagueErrors {
		r = vague(r)
	}
	msg := r.Message(s.req.Now, client, s.sname)
	if s.armor != nil {
		msg.EData = s.armor.ErrorData(r.PAData, msg, s.body.Nonce)
		if s.armor.Hide && msg.CName.Set {
			msg.CName, msg.CRealm = krbmsg.Some(nobody.Name), nobody.Realm
		}
	}
	s.out.Reply = krbmsg.Marshal(msg)
}

// vague hides what a refusal says of a client's entry: that there is none, or that it or its
// password is expired.
func vague(r *exchange.Refusal) *exchange.Refusal {
	switch r.Code {
	case krbmsg.ErrCPrincipalUnknown, krbmsg.ErrNameExp, krbmsg.ErrKeyExpired:
		return exchange.Refuse(krbmsg.ErrGeneric, "UNKNOWN_REASON")
	}
	return r
}

// hints is the list of mechanisms that goes with codes 24 and 25, made afresh each time.
func (s *state) hints(r *exchange.Refusal) krbmsg.MethodData {
	if s.client == nil || r.Code != krbmsg.ErrPreauthFailed && r.Code != krbmsg.ErrPreauthRequired {
		return nil
	}
	return preauth.Hints(s.preauthContext())
}

// bookkeep notes what counts for lockout (section 4.11): a failed preauthentication of any
// principal, and success where preauthentication is required. An entry that is locked already
// is left alone. Unlike MIT krb5 it counts a wrong guess also where another mechanism asks for more
// in the same answer: else guesses beside a SPAKE message would cost nothing.
func (s *state) bookkeep() {
	ev := &s.out.Event
	switch {
	case s.client == nil || s.client.Foreign:
	case ev.Code == krbmsg.ErrPreauthFailed, ev.Code == krbmsg.ErrBadIntegrity, ev.Code != 0 && !s.pre.PreAuth && s.pre.Wrong:
		s.out.Note = &exchange.Note{Name: s.client.Principal.Name, Failure: true, When: s.req.Now}
	case ev.Status == exchange.StatusIssue && s.client.Has(dumpfmt.AttrRequiresPreAuth):
		s.out.Note = &exchange.Note{Name: s.client.Principal.Name, When: s.req.Now}
	}
}
