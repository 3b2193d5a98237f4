package preauth

import (
	"errors"
	"slices"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/kdc/exchange"
)

// SPAKE (section 4.7, RFC 9588) is on where the realm has groups. It takes two messages: the
// client names its groups and gets a challenge with code 91, and answers that; or the challenge
// goes with the hints already, for a group that the KDC guesses. Between them the KDC's private
// number is in the cookie.

// useSPAKE reports whether the mechanism is configured.
func useSPAKE(c *Context) bool { return len(c.Realm.SPAKEGroups) > 0 }

// spakeHint is the element of a hint list, with a challenge if the realm has them sent
// unasked, and the cookie that belongs to it.
func spakeHint(c *Context) (hint, cookie krbmsg.PAData) {
	hint, cookie = krbmsg.PAData{Type: krbmsg.PASPAKE, Value: []byte{}}, Cookie()
	if c.Realm.SPAKEChallenge == 0 {
		return hint, cookie
	}
	challenge, state, err := spakeChallenge(c, c.Realm.SPAKEChallenge, nil)
	if err != nil {
		return hint, cookie // the client can ask for one, and then there is somebody to tell why not
	}
	return challenge, state
}

// verifySPAKE takes the client's message.
func verifySPAKE(c *Context, value []byte) (*Result, *exchange.Refusal) {
	var m krbmsg.SPAKE
	if err := m.Parse(value); err != nil {
		return nil, failed(err)
	}
	switch {
	case m.Support != nil:
		return nil, spakeSupport(c, m.Support, value)
	case m.Response != nil:
		return spakeResponse(c, m.Response)
	}
	return nil, failed(errors.New("a SPAKE message that clients do not send at this point"))
}

// spakeSupport answers a client's list of groups with a challenge in the first one that the realm
// has too.
func spakeSupport(c *Context, groups []int32, message []byte) *exchange.Refusal {
	i := slices.IndexFunc(groups, func(g int32) bool { return slices.Contains(c.Realm.SPAKEGroups, spake.Group(g)) })
	if i < 0 {
		return failed(errors.New("no SPAKE group in common"))
	}
	if c.Key == nil {
		return noKey()
	}
	challenge, cookie, err := spakeChallenge(c, spake.Group(groups[i]), message)
	if err != nil {
		return failed(err)
	}
	r := exchange.Refuse(krbmsg.ErrMorePreauthData, statusFailed)
	r.PAData = krbmsg.MethodData{challenge}
	if !c.hasCookie() {
		r.PAData = append(r.PAData, etypeInfo2(c.Key))
	}
	r.PAData = append(r.PAData, cookie)
	return r
}

func noKey() *exchange.Refusal {
	return exchange.Refuse(krbmsg.ErrEtypeNoSupp, statusFailed).Becausef("no key of the client for SPAKE")
}

// spakeChallenge makes a challenge, and the cookie with what the KDC must know when the response
// comes. support is the client's message as it came, nil for a challenge unasked.
func spakeChallenge(c *Context, g spake.Group, support []byte) (challenge, cookie krbmsg.PAData, err error) {
	key, err := c.Key.Open()
	if err != nil {
		return challenge, cookie, err
	}
	e, err := spake.New(g, key)
	if err != nil {
		return challenge, cookie, err
	}
	private, public, err := e.Generate(spake.KDC)
	if err != nil {
		return challenge, cookie, err
	}
	defer clear(private)
	challenge = krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Challenge: &krbmsg.SPAKEChallenge{
		Group: int32(g), Public: public, Factors: []krbmsg.SPAKEFactor{{Type: krbmsg.SPAKEFactorNone}},
	}})}
	state := spake.State{Group: g, Private: private, Transcript: e.Transcript(nil, support, challenge.Value)}
	cookie, err = c.sealCookie(krbmsg.PAData{Type: krbmsg.PASPAKE, Value: state.Append(nil)})
	return challenge, cookie, err
}

// spakeResponse computes the shared element from the client's public value and the state in the
// cookie. That the factor opens under K'[1] shows that the client knows its key; K'[0] seals the
// reply.
func spakeResponse(c *Context, m *krbmsg.SPAKEResponse) (*Result, *exchange.Refusal) {
	value, err := c.openCookie(krbmsg.PASPAKE)
	if err != nil {
		return nil, failed(err)
	}
	state, err := spake.ParseState(value)
	if err != nil {
		return nil, failed(err)
	}
	if c.Key == nil {
		return nil, noKey()
	}
	key, err := c.Key.Open()
	if err != nil {
		return nil, failed(err)
	}
	e, err := spake.New(state.Group, key)
	if err != nil {
		return nil, failed(err)
	}
	shared, err := e.Agree(spake.KDC, state.Private, m.Public)
	if err != nil {
		return nil, failed(err)
	}
	transcript := e.Transcript(state.Transcript, m.Public)
	k1, err := e.Key(1, shared, transcript, c.RawBody)
	if err != nil {
		return nil, failed(err)
	}
	if m.Factor.Etype != int32(k1.Enctype()) {
		return nil, failed(errors.New("SPAKE factor of another enctype"))
	}
	plain, err := k1.Decrypt(nil, krbcrypto.UsageSPAKE, m.Factor.Cipher)
	if err != nil {
		return nil, failed(err) // a wrong password, as a rule
	}
	var factor krbmsg.SPAKEFactor
	if err := factor.Parse(plain); err != nil {
		return nil, failed(err)
	}
	if factor.Type != krbmsg.SPAKEFactorNone {
		return nil, failed(errors.New("SPAKE factor that was not offered"))
	}
	k0, err := e.Key(0, shared, transcript, c.RawBody)
	if err != nil {
		return nil, failed(err)
	}
	return &Result{PreAuth: true, ReplyKey: k0, Indicators: c.Realm.SPAKEIndicators}, nil
}
