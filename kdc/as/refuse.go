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
	if r.Silent {
		return
	}
	if hints := s.hints(r); hints != nil {
		r.PAData = hints
	}
	var client *exchange.Principal
	if s.body.CName.Set {
		client = &s.cname
	}
	msg := r.Message(s.req.Now, client, s.sname)
	if s.armor != nil {
		msg.EData = s.armor.ErrorData(r.PAData, msg, s.body.Nonce)
		if s.armor.Hide && msg.CName.Set {
			msg.CName = krbmsg.Some(krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"))
			msg.CRealm = []byte(wellKnownRealm)
		}
	}
	s.out.Reply = krbmsg.Marshal(msg)
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
// is left alone.
func (s *state) bookkeep() {
	ev := &s.out.Event
	switch {
	case s.client == nil || s.client.Foreign:
	case ev.Code == krbmsg.ErrPreauthFailed || ev.Code == krbmsg.ErrBadIntegrity:
		s.out.Note = &exchange.Note{Name: s.client.Principal.Name, Failure: true, When: s.req.Now}
	case ev.Status == exchange.StatusIssue && s.client.Has(dumpfmt.AttrRequiresPreAuth):
		s.out.Note = &exchange.Note{Name: s.client.Principal.Name, When: s.req.Now}
	}
}
