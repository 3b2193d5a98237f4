package krbmsg

import "krealm/internal/der"

// ProxyMessage is KDC-PROXY-MESSAGE ([MS-KKDCP] section 2.2.2): a message to or from a KDC in
// the form it has over TCP, length in front included.
type ProxyMessage struct {
	Message []byte
	Domain  []byte // the realm asked; nil for absent
	Hint    Opt[int32]
}

// Parse decodes KDC-PROXY-MESSAGE. Message aliases b.
func (m *ProxyMessage) Parse(b []byte) error {
	return sequence(b, func(r *der.Reader) {
		m.Message = field(r, 0, (*der.Reader).Octets)
		m.Domain = bytesOpt(r, 1, (*der.Reader).GeneralString)
		m.Hint = optional(r, 2, (*der.Reader).Int32)
	})
}

// AppendTo writes KDC-PROXY-MESSAGE.
func (m *ProxyMessage) AppendTo(w *der.Writer) {
	mark := w.Mark()
	if m.Hint.Set {
		putInt(w, 2, int64(m.Hint.V))
	}
	if m.Domain != nil {
		putString(w, 1, m.Domain)
	}
	putOctets(w, 0, m.Message)
	w.Wrap(der.TagSequence, mark)
}
