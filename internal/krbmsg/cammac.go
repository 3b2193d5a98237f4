package krbmsg

import "krealm/internal/der"

// CAMMAC is AD-CAMMAC (RFC 7751): authorization data with message authentication codes of the
// KDC and of the service.
type CAMMAC struct {
	Elements    AuthorizationData
	KDCVerifier Opt[VerifierMAC]
	SvcVerifier Opt[VerifierMAC]
}

// VerifierMAC is Verifier-MAC.
type VerifierMAC struct {
	Name  Opt[PrincipalName]
	Kvno  Opt[uint32]
	Etype Opt[int32]
	MAC   Checksum
}

func readVerifier(r *der.Reader) (v VerifierMAC) {
	r.Enter(der.TagSequence)
	v.Name = optional(r, 0, readName)
	v.Kvno = optional(r, 1, (*der.Reader).Uint32)
	v.Etype = optional(r, 2, (*der.Reader).Int32)
	v.MAC = field(r, 3, readChecksum)
	r.Leave()
	return v
}

// AppendTo writes Verifier-MAC.
func (v VerifierMAC) AppendTo(w *der.Writer) {
	m := w.Mark()
	put(w, 3, v.MAC)
	if v.Etype.Set {
		putInt(w, 2, int64(v.Etype.V))
	}
	if v.Kvno.Set {
		putInt(w, 1, int64(v.Kvno.V))
	}
	if v.Name.Set {
		put(w, 0, v.Name.V)
	}
	w.Wrap(der.TagSequence, m)
}

// Parse decodes AD-CAMMAC. Other verifiers are passed over.
func (c *CAMMAC) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		c.Elements = field(r, 0, readAuthData)
		c.KDCVerifier = optional(r, 1, readVerifier)
		c.SvcVerifier = optional(r, 2, readVerifier)
	})
}

// AppendTo writes AD-CAMMAC.
func (c *CAMMAC) AppendTo(w *der.Writer) {
	m := w.Mark()
	if c.SvcVerifier.Set {
		put(w, 2, c.SvcVerifier.V)
	}
	if c.KDCVerifier.Set {
		put(w, 1, c.KDCVerifier.V)
	}
	put(w, 0, c.Elements)
	w.Wrap(der.TagSequence, m)
}

// Indicators is AD-AUTHENTICATION-INDICATOR (RFC 8129): how a client authenticated.
type Indicators []string

// Parse decodes a SEQUENCE OF UTF8String.
func (s *Indicators) Parse(b []byte) error {
	r := der.NewReader(b)
	*s = list(r, func(r *der.Reader) string { return string(r.UTF8String()) })
	return r.Err()
}

// AppendTo writes a SEQUENCE OF UTF8String.
func (s Indicators) AppendTo(w *der.Writer) {
	appendList(w, s, func(w *der.Writer, x *string) { w.Contents(der.TagUTF8String, []byte(*x)) })
}
