package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// reader takes fields off the front of b and keeps the first error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b) {
		r.err = ErrTruncated
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) bool() bool {
	v := r.u8()
	if v > 1 {
		r.fail(ErrValue)
	}
	return v == 1
}

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) hash() (h [32]byte) {
	copy(h[:], r.take(32))
	return h
}

func (r *reader) point() (p Point) {
	p.Epoch, p.Serial, p.Hash = r.u64(), r.u64(), r.hash()
	return p
}

func (r *reader) text() string {
	n := int(r.u16())
	if n > MaxText {
		r.fail(ErrTooLong)
	}
	s := string(r.take(n))
	if !utf8.ValidString(s) || clean(s) != s {
		r.fail(ErrValue)
	}
	return s
}

// data takes the rest of the message.
func (r *reader) data() []byte {
	if r.err == nil && len(r.b) == 0 {
		r.fail(ErrTruncated)
	}
	if len(r.b) > MaxData {
		r.fail(ErrTooLong)
	}
	return r.take(len(r.b))
}

func appendU16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func appendU64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendPoint(dst []byte, p Point) []byte {
	dst = appendU64(dst, p.Epoch)
	dst = appendU64(dst, p.Serial)
	return append(dst, p.Hash[:]...)
}

func appendText(dst []byte, s string) []byte {
	s = clean(s)
	dst = appendU16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendData(dst, data []byte) []byte {
	if len(data) == 0 || len(data) > MaxData {
		panic("wire: data of a message is empty or longer than MaxData")
	}
	return append(dst, data...)
}

// Kind returns KindHello.
func (m *Hello) Kind() Kind { return KindHello }

// Append implements Message.
func (m *Hello) Append(dst []byte) []byte {
	dst = append(dst, byte(KindHello))
	dst = appendU16(dst, m.MinVersion)
	dst = appendU16(dst, m.MaxVersion)
	dst = append(dst, byte(m.Role))
	dst = appendBool(dst, m.WantSnapshot)
	dst = appendPoint(dst, m.Point)
	dst = appendU64(dst, m.Applied)
	dst = appendText(dst, m.Realm)
	return appendText(dst, m.Reason)
}

func (m *Hello) parse(r *reader) {
	m.MinVersion, m.MaxVersion = r.u16(), r.u16()
	m.Role = Role(r.u8())
	m.WantSnapshot = r.bool()
	m.Point = r.point()
	m.Applied = r.u64()
	m.Realm = r.text()
	m.Reason = r.text()
	if m.MinVersion > m.MaxVersion || m.Role != Feeder && m.Role != Slave {
		r.fail(ErrValue)
	}
}

// Kind returns KindRecords.
func (m *Records) Kind() Kind { return KindRecords }

// Append implements Message.
func (m *Records) Append(dst []byte) []byte {
	dst = append(dst, byte(KindRecords))
	dst = appendU64(dst, m.Last)
	return appendData(dst, m.Data)
}

func (m *Records) parse(r *reader) {
	m.Last = r.u64()
	m.Data = r.data()
}

// Kind returns KindAck.
func (m *Ack) Kind() Kind { return KindAck }

// Append implements Message.
func (m *Ack) Append(dst []byte) []byte {
	dst = append(dst, byte(KindAck))
	dst = appendU64(dst, m.Epoch)
	dst = appendU64(dst, m.Spooled)
	return appendU64(dst, m.Applied)
}

func (m *Ack) parse(r *reader) {
	m.Epoch, m.Spooled, m.Applied = r.u64(), r.u64(), r.u64()
}

// Kind returns KindSnapshotBegin.
func (m *SnapshotBegin) Kind() Kind { return KindSnapshotBegin }

// Append implements Message.
func (m *SnapshotBegin) Append(dst []byte) []byte {
	dst = append(dst, byte(KindSnapshotBegin))
	dst = appendPoint(dst, m.Base)
	return appendU64(dst, m.Size)
}

func (m *SnapshotBegin) parse(r *reader) {
	m.Base = r.point()
	m.Size = r.u64()
	if m.Base.Epoch == 0 || m.Size == 0 {
		r.fail(ErrValue)
	}
}

// Kind returns KindSnapshotChunk.
func (m *SnapshotChunk) Kind() Kind { return KindSnapshotChunk }

// Append implements Message.
func (m *SnapshotChunk) Append(dst []byte) []byte {
	dst = append(dst, byte(KindSnapshotChunk))
	dst = appendU64(dst, m.Offset)
	return appendData(dst, m.Data)
}

func (m *SnapshotChunk) parse(r *reader) {
	m.Offset = r.u64()
	m.Data = r.data()
}

// Kind returns KindSnapshotEnd.
func (m *SnapshotEnd) Kind() Kind { return KindSnapshotEnd }

// Append implements Message.
func (m *SnapshotEnd) Append(dst []byte) []byte {
	return appendU64(append(dst, byte(KindSnapshotEnd)), m.Size)
}

func (m *SnapshotEnd) parse(r *reader) { m.Size = r.u64() }

// Kind returns KindHeartbeat.
func (m *Heartbeat) Kind() Kind { return KindHeartbeat }

// Append implements Message.
func (m *Heartbeat) Append(dst []byte) []byte {
	dst = append(dst, byte(KindHeartbeat))
	dst = appendU64(dst, m.Epoch)
	dst = appendU64(dst, m.Serial)
	dst = appendBool(dst, m.HasDigest)
	return append(dst, m.Digest[:]...)
}

func (m *Heartbeat) parse(r *reader) {
	m.Epoch, m.Serial = r.u64(), r.u64()
	m.HasDigest = r.bool()
	m.Digest = r.hash()
}

// Kind returns KindError.
func (m *Error) Kind() Kind { return KindError }

// Append implements Message.
func (m *Error) Append(dst []byte) []byte {
	dst = append(dst, byte(KindError))
	dst = appendU16(dst, uint16(m.Reason))
	dst = appendU64(dst, m.Serial)
	return appendText(dst, m.Text)
}

func (m *Error) parse(r *reader) {
	m.Reason = Reason(r.u16())
	m.Serial = r.u64()
	m.Text = r.text()
	if m.Reason == 0 {
		r.fail(ErrValue)
	}
}

// Kind returns KindBye.
func (m *Bye) Kind() Kind { return KindBye }

// Append implements Message.
func (m *Bye) Append(dst []byte) []byte { return appendText(append(dst, byte(KindBye)), m.Text) }

func (m *Bye) parse(r *reader) { m.Text = r.text() }
