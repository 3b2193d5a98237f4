package krbmsg

import "krealm/internal/der"

// EncryptedData is a ciphertext with the number of its enctype (RFC 4120 section 5.2.9).
type EncryptedData struct {
	Etype  int32
	Kvno   Opt[uint32]
	Cipher []byte
}

func readEncryptedData(r *der.Reader) (e EncryptedData) {
	r.Enter(der.TagSequence)
	e.Etype = field(r, 0, (*der.Reader).Int32)
	e.Kvno = optional(r, 1, (*der.Reader).Uint32)
	e.Cipher = field(r, 2, (*der.Reader).Octets)
	r.Leave()
	return e
}

// Parse decodes EncryptedData.
func (e *EncryptedData) Parse(b []byte) error {
	r := der.NewReader(b)
	*e = readEncryptedData(r)
	return r.Err()
}

// AppendTo writes EncryptedData.
func (e EncryptedData) AppendTo(w *der.Writer) {
	m := w.Mark()
	putOctets(w, 2, e.Cipher)
	if e.Kvno.Set {
		putInt(w, 1, int64(e.Kvno.V))
	}
	putInt(w, 0, int64(e.Etype))
	w.Wrap(der.TagSequence, m)
}

// EncryptionKey is a key as it travels inside encrypted parts (RFC 4120 section 5.2.9).
type EncryptionKey struct {
	Etype int32
	Value []byte
}

func readKey(r *der.Reader) (k EncryptionKey) {
	r.Enter(der.TagSequence)
	k.Etype = field(r, 0, (*der.Reader).Int32)
	k.Value = field(r, 1, (*der.Reader).Octets)
	r.Leave()
	return k
}

// AppendTo writes EncryptionKey.
func (k EncryptionKey) AppendTo(w *der.Writer) {
	m := w.Mark()
	putOctets(w, 1, k.Value)
	putInt(w, 0, int64(k.Etype))
	w.Wrap(der.TagSequence, m)
}

// String hides the key, so that none reaches a log.
func (k EncryptionKey) String() string { return "(key)" }

// GoString hides the key.
func (k EncryptionKey) GoString() string { return "(key)" }

// Checksum is a checksum with the number of its type (RFC 4120 section 5.2.9).
type Checksum struct {
	Type int32
	Sum  []byte
}

func readChecksum(r *der.Reader) (c Checksum) {
	r.Enter(der.TagSequence)
	c.Type = field(r, 0, (*der.Reader).Int32)
	c.Sum = field(r, 1, (*der.Reader).Octets)
	r.Leave()
	return c
}

// Parse decodes Checksum.
func (c *Checksum) Parse(b []byte) error {
	r := der.NewReader(b)
	*c = readChecksum(r)
	return r.Err()
}

// AppendTo writes Checksum.
func (c Checksum) AppendTo(w *der.Writer) {
	m := w.Mark()
	putOctets(w, 1, c.Sum)
	putInt(w, 0, int64(c.Type))
	w.Wrap(der.TagSequence, m)
}
