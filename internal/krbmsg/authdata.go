package krbmsg

import "krealm/internal/der"

// AuthDataEntry is one element of AuthorizationData (RFC 4120 section 5.2.6).
type AuthDataEntry struct {
	Type int32
	Data []byte
}

// AuthorizationData is a list of entries. nil is an absent field.
type AuthorizationData []AuthDataEntry

// Types of authorization data.
const (
	ADIfRelevant    = 1
	ADKDCIssued     = 4
	ADMandatoryKDC  = 8
	ADFXArmor       = 71
	ADCAMMAC        = 96
	ADAuthIndicator = 97
	ADWin2kPAC      = 128
	ADSignedPath    = 512
)

func readAuthData(r *der.Reader) AuthorizationData {
	return list(r, func(r *der.Reader) (e AuthDataEntry) {
		r.Enter(der.TagSequence)
		e.Type = field(r, 0, (*der.Reader).Int32)
		e.Data = field(r, 1, (*der.Reader).Octets)
		r.Leave()
		return e
	})
}

// Parse decodes AuthorizationData.
func (a *AuthorizationData) Parse(b []byte) error {
	r := der.NewReader(b)
	*a = readAuthData(r)
	return r.Err()
}

// AppendTo writes AuthorizationData; nil is written as an empty list.
func (a AuthorizationData) AppendTo(w *der.Writer) {
	appendList(w, a, func(w *der.Writer, e *AuthDataEntry) {
		m := w.Mark()
		putOctets(w, 1, e.Data)
		putInt(w, 0, int64(e.Type))
		w.Wrap(der.TagSequence, m)
	})
}

func putAuthData(w *der.Writer, n uint8, a AuthorizationData) {
	if a != nil {
		put(w, n, a)
	}
}
