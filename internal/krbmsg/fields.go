package krbmsg

import "krealm/internal/der"

// Opt is an OPTIONAL field. The zero Opt is absent.
type Opt[T any] struct {
	V   T
	Set bool
}

// Some returns a present field.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, Set: true} }

// Or returns the field's value, or def if it is absent.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.V
	}
	return def
}

// field reads the mandatory field [n].
func field[T any](r *der.Reader, n uint8, read func(*der.Reader) T) T {
	r.Enter(der.Context(n))
	v := read(r)
	r.Close()
	return v
}

// optional reads the field [n] if it comes next.
func optional[T any](r *der.Reader, n uint8, read func(*der.Reader) T) (o Opt[T]) {
	if r.TryEnter(der.Context(n)) {
		o = Some(read(r))
		r.Close()
	}
	return o
}

// bytesOpt reads the octets field [n] if it comes next; absent is nil.
func bytesOpt(r *der.Reader, n uint8, read func(*der.Reader) []byte) []byte {
	return optional(r, n, read).V
}

// list reads a SEQUENCE OF.
func list[T any](r *der.Reader, read func(*der.Reader) T) []T {
	out := []T{}
	r.Enter(der.TagSequence)
	for r.More() {
		out = append(out, read(r))
	}
	r.Close()
	return out
}

// listOf turns the reader of one element into the reader of a SEQUENCE OF.
func listOf[T any](read func(*der.Reader) T) func(*der.Reader) []T {
	return func(r *der.Reader) []T { return list(r, read) }
}

// constant reads the field [n], which must hold the INTEGER want.
func constant(r *der.Reader, n uint8, want int32) {
	if got := field(r, n, (*der.Reader).Int32); got != want {
		r.Fail(der.ErrValue)
	}
}

// message opens [APPLICATION n] SEQUENCE and parses its fields.
func message(b []byte, n uint8, fields func(r *der.Reader)) error {
	var r der.Reader
	r.Reset(b)
	r.Enter(der.Application(n))
	r.Enter(der.TagSequence)
	if r.Err() == nil {
		fields(&r)
	}
	return r.Err()
}

// sequence opens a SEQUENCE and parses its fields.
func sequence(b []byte, fields func(r *der.Reader)) error {
	var r der.Reader
	r.Reset(b)
	r.Enter(der.TagSequence)
	if r.Err() == nil {
		fields(&r)
	}
	return r.Err()
}

func putInt(w *der.Writer, n uint8, v int64) {
	m := w.Mark()
	w.Int(v)
	w.Wrap(der.Context(n), m)
}

func putTime(w *der.Writer, n uint8, t int64) {
	m := w.Mark()
	w.Time(t)
	w.Wrap(der.Context(n), m)
}

func putOptTime(w *der.Writer, n uint8, t Opt[int64]) {
	if t.Set {
		putTime(w, n, t.V)
	}
}

func putFlags(w *der.Writer, n uint8, f uint32) {
	m := w.Mark()
	w.Flags(f)
	w.Wrap(der.Context(n), m)
}

func putOctets(w *der.Writer, n uint8, b []byte) {
	m := w.Mark()
	w.Octets(b)
	w.Wrap(der.Context(n), m)
}

func putString(w *der.Writer, n uint8, b []byte) {
	m := w.Mark()
	w.GeneralString(b)
	w.Wrap(der.Context(n), m)
}

// appender is a value that writes its own encoding.
type appender interface{ AppendTo(w *der.Writer) }

func put(w *der.Writer, n uint8, v appender) {
	m := w.Mark()
	v.AppendTo(w)
	w.Wrap(der.Context(n), m)
}

// putList writes a SEQUENCE OF as the field [n], or nothing if it is absent.
func putList[T any](w *der.Writer, n uint8, s []T, one func(*der.Writer, *T)) {
	if s == nil {
		return
	}
	m := w.Mark()
	appendList(w, s, one)
	w.Wrap(der.Context(n), m)
}

// appendList writes a SEQUENCE OF.
func appendList[T any](w *der.Writer, s []T, one func(*der.Writer, *T)) {
	m := w.Mark()
	for i := len(s) - 1; i >= 0; i-- {
		one(w, &s[i])
	}
	w.Wrap(der.TagSequence, m)
}

// wrapMessage closes [APPLICATION n] SEQUENCE around everything written since mark.
func wrapMessage(w *der.Writer, n uint8, mark int) {
	w.Wrap(der.TagSequence, mark)
	w.Wrap(der.Application(n), mark)
}

// Marshal returns the encoding of a message in a slice of its own.
func Marshal(v appender) []byte {
	w := der.NewWriter(512)
	v.AppendTo(w)
	return w.Bytes()
}
