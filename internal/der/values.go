package der

import "math"

// Int64 reads an INTEGER that fits in 64 bits.
func (r *Reader) Int64() int64 {
	start := r.pos
	b := r.Contents(TagInteger)
	if r.err != nil {
		return 0
	}
	// Minimal: the first nine bits must not be all equal.
	if len(b) == 0 || len(b) > 8 ||
		len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		r.failAt(start, ErrValue)
		return 0
	}
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return v
}

// intRange reads an INTEGER between lo and hi.
func (r *Reader) intRange(lo, hi int64) int64 {
	start := r.pos
	v := r.Int64()
	if r.err == nil && (v < lo || v > hi) {
		r.failAt(start, ErrValue)
		return 0
	}
	return v
}

// Int32 reads an Int32 (RFC 4120 section 5.2.4).
func (r *Reader) Int32() int32 { return int32(r.intRange(math.MinInt32, math.MaxInt32)) }

// Uint32 reads a UInt32, also in the negative form that implementations with signed 32-bit
// integers send: -1 is 4294967295.
func (r *Reader) Uint32() uint32 { return uint32(r.intRange(math.MinInt32, math.MaxUint32)) }

// Nonce reads a 32-bit nonce in either form and keeps the form, so that it can be echoed as
// the same INTEGER.
func (r *Reader) Nonce() int64 { return r.intRange(math.MinInt32, math.MaxUint32) }

// Usec reads a Microseconds value, 0 to 999999.
func (r *Reader) Usec() int32 { return int32(r.intRange(0, 999999)) }

// Bool reads a BOOLEAN: any octet but zero is true, as in MIT krb5.
func (r *Reader) Bool() bool {
	start := r.pos
	b := r.Contents(TagBoolean)
	if r.err == nil && len(b) != 1 {
		r.failAt(start, ErrValue)
	}
	return r.err == nil && b[0] != 0
}

// Octets reads an OCTET STRING. The result is never nil unless there is an error.
func (r *Reader) Octets() []byte { return r.Contents(TagOctetString) }

// GeneralString reads a KerberosString. Any octets are accepted, other string types are not,
// as in MIT krb5.
func (r *Reader) GeneralString() []byte { return r.Contents(TagGeneralString) }

// UTF8String reads a UTF8String without checking its encoding.
func (r *Reader) UTF8String() []byte { return r.Contents(TagUTF8String) }

// Flags reads a KerberosFlags BIT STRING. The first bit is the highest of the result, as
// flags are numbered (RFC 4120 section 5.2.8). Shorter strings are padded with zeros at
// the end and longer ones cut after 32 bits; bits that are said to be unused count, since DER
// wants them to be zero. All this as in MIT krb5.
func (r *Reader) Flags() uint32 {
	start := r.pos
	b := r.Contents(TagBitString)
	if r.err != nil {
		return 0
	}
	if len(b) == 0 || b[0] > 7 || len(b) == 1 && b[0] != 0 {
		r.failAt(start, ErrValue)
		return 0
	}
	var v uint32
	for i, c := range b[1:min(len(b), 5)] {
		v |= uint32(c) << (24 - 8*i)
	}
	return v
}

// Time reads a KerberosTime, exactly YYYYMMDDhhmmssZ, as seconds since 1970 (negative before).
// Fractions, offsets and leap seconds are refused.
func (r *Reader) Time() int64 {
	start := r.pos
	b := r.Contents(TagGeneralizedTime)
	if r.err != nil {
		return 0
	}
	t, ok := parseTime(b)
	if !ok {
		r.failAt(start, ErrValue)
		return 0
	}
	return t
}

func (r *Reader) failAt(offset int, err error) {
	if r.err == nil {
		r.err = &SyntaxError{Offset: offset, Err: err}
	}
}

func parseTime(b []byte) (int64, bool) {
	if len(b) != 15 || b[14] != 'Z' {
		return 0, false
	}
	for _, c := range b[:14] {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(4), two(6)
	hour, minute, second := two(8), two(10), two(12)
	if year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return daysFromCivil(year, month, day)*86400 + int64(hour*3600+minute*60+second), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysFromCivil counts days since 1970-01-01 in the proleptic Gregorian calendar. Years are
// counted from March in eras of 400 years (146097 days), so that the leap day comes last.
func daysFromCivil(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era, yoe := year/400, year%400
	doy := (153*(month-3)+2)/5 + day - 1
	return int64(era)*146097 + int64(yoe*365+yoe/4-yoe/100+doy) - 719468
}

// civilFromDays is the inverse of daysFromCivil.
func civilFromDays(days int64) (year, month, day int) {
	z := days + 719468
	era, doe := int(z/146097), int(z%146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	year, month, day = era*400+yoe, mp+3, doy-(153*mp+2)/5+1
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}
