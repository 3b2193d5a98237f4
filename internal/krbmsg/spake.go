package krbmsg

import "krealm/internal/der"

// SPAKEFactorNone is the second factor that is none (RFC 9588 section 10.1).
const SPAKEFactorNone = 1

// SPAKE is PA-SPAKE (RFC 9588 section 4.1), a choice: one field is set.
type SPAKE struct {
	Support   []int32 // the groups a client can use, best first
	Challenge *SPAKEChallenge
	Response  *SPAKEResponse
	EncData   *EncryptedData // a further message about a second factor
}

// SPAKEChallenge is the KDC's public value, and the second factors the client may use.
type SPAKEChallenge struct {
	Group   int32
	Public  []byte
	Factors []SPAKEFactor
}

// SPAKEFactor is SPAKESecondFactor. Data is nil if it is absent.
type SPAKEFactor struct {
	Type int32
	Data []byte
}

// SPAKEResponse is the client's public value, and a SPAKEFactor under K'[1].
type SPAKEResponse struct {
	Public []byte
	Factor EncryptedData
}

// The tags of the choice.
const (
	spakeSupport = iota
	spakeChallenge
	spakeResponse
	spakeEncData
)

// Parse decodes PA-SPAKE.
func (s *SPAKE) Parse(b []byte) error {
	*s = SPAKE{}
	r := der.NewReader(b)
	switch r.Peek() {
	case der.Context(spakeSupport):
		s.Support = field(r, spakeSupport, func(r *der.Reader) []int32 {
			r.Enter(der.TagSequence)
			groups := field(r, 0, listOf((*der.Reader).Int32))
			r.Leave()
			return groups
		})
	case der.Context(spakeChallenge):
		c := field(r, spakeChallenge, readSPAKEChallenge)
		s.Challenge = &c
	case der.Context(spakeResponse):
		c := field(r, spakeResponse, func(r *der.Reader) (c SPAKEResponse) {
			r.Enter(der.TagSequence)
			c.Public = field(r, 0, (*der.Reader).Octets)
			c.Factor = field(r, 1, readEncryptedData)
			r.Leave()
			return c
		})
		s.Response = &c
	default:
		e := field(r, spakeEncData, readEncryptedData)
		s.EncData = &e
	}
	return r.Err()
}

func readSPAKEChallenge(r *der.Reader) (c SPAKEChallenge) {
	r.Enter(der.TagSequence)
	c.Group = field(r, 0, (*der.Reader).Int32)
	c.Public = field(r, 1, (*der.Reader).Octets)
	c.Factors = field(r, 2, listOf(readSPAKEFactor))
	r.Leave()
	return c
}

func readSPAKEFactor(r *der.Reader) (f SPAKEFactor) {
	r.Enter(der.TagSequence)
	f.Type = field(r, 0, (*der.Reader).Int32)
	f.Data = bytesOpt(r, 1, (*der.Reader).Octets)
	r.Leave()
	return f
}

// AppendTo writes PA-SPAKE.
func (s *SPAKE) AppendTo(w *der.Writer) {
	m := w.Mark()
	switch {
	case s.Support != nil:
		putList(w, 0, s.Support, func(w *der.Writer, g *int32) { w.Int(int64(*g)) })
		w.Wrap(der.TagSequence, m)
		w.Wrap(der.Context(spakeSupport), m)
	case s.Challenge != nil:
		putList(w, 2, nonNil(s.Challenge.Factors), func(w *der.Writer, f *SPAKEFactor) { f.AppendTo(w) })
		putOctets(w, 1, s.Challenge.Public)
		putInt(w, 0, int64(s.Challenge.Group))
		w.Wrap(der.TagSequence, m)
		w.Wrap(der.Context(spakeChallenge), m)
	case s.Response != nil:
		put(w, 1, s.Response.Factor)
		putOctets(w, 0, s.Response.Public)
		w.Wrap(der.TagSequence, m)
		w.Wrap(der.Context(spakeResponse), m)
	case s.EncData != nil:
		put(w, spakeEncData, s.EncData)
	}
}

// Parse decodes SPAKESecondFactor.
func (f *SPAKEFactor) Parse(b []byte) error {
	r := der.NewReader(b)
	*f = readSPAKEFactor(r)
	return r.Err()
}

// AppendTo writes SPAKESecondFactor.
func (f SPAKEFactor) AppendTo(w *der.Writer) {
	m := w.Mark()
	if f.Data != nil {
		putOctets(w, 1, f.Data)
	}
	putInt(w, 0, int64(f.Type))
	w.Wrap(der.TagSequence, m)
}

// SecureCookie is what MIT krb5 seals in a cookie (PA-FX-COOKIE): when it was made, and what the
// mechanisms want back. It has no context tags.
type SecureCookie struct {
	Time int64 // Unix seconds
	Data []PAData
}

// Parse decodes SecureCookie.
func (c *SecureCookie) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		c.Time = r.Int64()
		c.Data = list(r, readPAData)
	})
}

// AppendTo writes SecureCookie.
func (c SecureCookie) AppendTo(w *der.Writer) {
	m := w.Mark()
	appendList(w, c.Data, putPAData)
	w.Int(c.Time)
	w.Wrap(der.TagSequence, m)
}
