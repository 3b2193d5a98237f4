package krbcrypto

// mac is a keyed hash with its key schedule done.
type mac struct {
	h *hmacKey
}

// sum writes the first len(out) bytes of the code of a‖b. out may overlap a or b.
func (m mac) sum(out, a, b []byte) {
	m.h.sum(out, a, b)
}
