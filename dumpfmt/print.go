package dumpfmt

import (
	"fmt"
	"strconv"
)

const hexDigits = "0123456789abcdef"

func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

func appendTabUint(dst []byte, v uint32) []byte {
	return strconv.AppendUint(append(dst, '\t'), uint64(v), 10)
}

func appendTabInt(dst []byte, v int32) []byte {
	return strconv.AppendInt(append(dst, '\t'), int64(v), 10)
}

// appendTabData appends the length and the bytes of data, each behind a TAB.
func appendTabData(dst, data []byte) []byte {
	dst = appendTabUint(dst, uint32(len(data)))
	dst = append(dst, '\t')
	if len(data) == 0 {
		return append(dst, "-1"...)
	}
	for _, c := range data {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// AppendLine implements Record. Version4 leaves tagged data of type 3 out, and with it
// policy and password history; the iprop forms write the lockout fields as 0. The error
// says which value the format cannot hold.
func (p *Principal) AppendLine(dst []byte, v Version) ([]byte, error) {
	if err := p.check(v); err != nil {
		return dst, fmt.Errorf("dumpfmt: principal %q: %w", p.Name, err)
	}
	nTL := len(p.TL)
	if v == Version4 {
		nTL = 0
		for i := range p.TL {
			if p.TL[i].Type != TLKadmData {
				nTL++
			}
		}
	}
	start := len(dst)
	out := append(dst, "princ\t"+baseLength+"\t"...)
	out = p.appendHead(out, nTL)
	out = appendTabInt(out, int32(p.Attributes))
	out = appendTabInt(out, p.MaxLife)
	out = appendTabInt(out, p.MaxRenewLife)
	out = appendTabUint(out, p.Expire)
	out = appendTabUint(out, p.PwExpire)
	if v.iprop() {
		out = append(out, "\t0\t0\t0"...)
	} else {
		out = appendTabUint(out, p.LastSuccess)
		out = appendTabUint(out, p.LastFailed)
		out = appendTabInt(out, int32(p.FailCount))
	}
	for i := range p.TL {
		if v == Version4 && p.TL[i].Type == TLKadmData {
			continue
		}
		out = appendTL(out, &p.TL[i])
	}
	for i := range p.Keys {
		out = appendKey(out, &p.Keys[i])
	}
	out = append(out, "\t-1;\n"...)
	if len(out)-start > MaxLine {
		return dst, fmt.Errorf("dumpfmt: principal %q: %w", p.Name, ErrTooLong)
	}
	return out, nil
}

// appendHead appends the fields from the length of the name to the name.
func (p *Principal) appendHead(dst []byte, nTL int) []byte {
	var counts [24]byte
	middle := appendTabUint(counts[:0], uint32(nTL))
	middle = appendTabUint(middle, uint32(len(p.Keys)))
	middle = append(middle, "\t0\t"...)
	return appendWireName(dst, p.Name, string(middle))
}

func (p *Principal) check(v Version) error {
	if !v.valid() {
		return fmt.Errorf("no dump version %d", int(v))
	}
	if err := checkName(p.Name); err != nil {
		return err
	}
	if err := checkTL(p.TL); err != nil {
		return err
	}
	if len(p.Keys) > maxCount {
		return fmt.Errorf("more than %d keys", maxCount)
	}
	for i := range p.Keys {
		k := &p.Keys[i]
		switch {
		case k.Ver < 0 || k.Ver > 2:
			return fmt.Errorf("key %d: key data version %d", i, k.Ver)
		case len(k.Sealed) > maxData || len(k.Salt) > maxData:
			return fmt.Errorf("key %d: longer than %d bytes", i, maxData)
		case k.Ver < 2 && (k.SaltType != 0 || len(k.Salt) > 0):
			return fmt.Errorf("key %d: a salt needs key data version 2", i)
		case k.Ver < 1 && (k.Enctype != 0 || len(k.Sealed) > 0):
			return fmt.Errorf("key %d: a key needs key data version 1 or 2", i)
		}
	}
	return nil
}

func checkTL(tl []TL) error {
	if len(tl) > maxCount {
		return fmt.Errorf("more than %d elements of tagged data", maxCount)
	}
	for i := range tl {
		switch {
		case tl[i].Type == TLDBArgs:
			return fmt.Errorf("tagged data of type %d is never stored", TLDBArgs)
		case len(tl[i].Data) > maxData:
			return fmt.Errorf("tagged data of type %d: longer than %d bytes", tl[i].Type, maxData)
		}
	}
	return nil
}

func appendTL(dst []byte, t *TL) []byte {
	return appendTabData(appendTabInt(dst, int32(t.Type)), t.Data)
}

func appendKey(dst []byte, k *Key) []byte {
	dst = appendTabInt(dst, int32(k.Ver))
	dst = appendTabUint(dst, uint32(k.Kvno))
	if k.Ver >= 1 {
		dst = appendTabData(appendTabInt(dst, int32(k.Enctype)), k.Sealed)
	}
	if k.Ver == 2 {
		dst = appendTabData(appendTabInt(dst, int32(k.SaltType)), k.Salt)
	}
	return dst
}

// AppendLine implements Record. Forms before Version7 leave out the fields they do not
// know. The error says which value the format cannot hold.
func (p *Policy) AppendLine(dst []byte, v Version) ([]byte, error) {
	if err := p.check(v); err != nil {
		return dst, fmt.Errorf("dumpfmt: policy %q: %w", p.Name, err)
	}
	start := len(dst)
	out := append(dst, tagPolicy...)
	out = append(out, p.Name...)
	for _, n := range [...]uint32{p.MinLife, p.MaxLife, p.MinLength, p.MinClasses, p.History, 0} {
		out = appendTabInt(out, int32(n))
	}
	values := v.policyValues()
	if values >= 10 {
		for _, n := range [...]uint32{p.MaxFail, p.FailInterval, p.LockoutDuration} {
			out = appendTabInt(out, int32(n))
		}
	}
	if values >= 14 {
		for _, n := range [...]uint32{p.Attributes, p.MaxTicketLife, p.MaxRenewLife} {
			out = appendTabInt(out, int32(n))
		}
		out = append(out, '\t')
		out = append(out, p.keySalts()...)
		out = appendTabUint(out, uint32(len(p.TL)))
		for i := range p.TL {
			out = appendTL(out, &p.TL[i])
		}
	}
	out = append(out, '\n')
	if len(out)-start > MaxLine {
		return dst, fmt.Errorf("dumpfmt: policy %q: %w", p.Name, ErrTooLong)
	}
	return out, nil
}

func (p *Policy) keySalts() string {
	if p.KeySalts == "" {
		return keySaltsNone
	}
	return p.KeySalts
}

func (p *Policy) check(v Version) error {
	if !v.valid() {
		return fmt.Errorf("no dump version %d", int(v))
	}
	if err := checkWord(p.Name, maxPolName); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := checkWord(p.keySalts(), maxKeySalts); err != nil {
		return fmt.Errorf("key salts: %w", err)
	}
	return checkTL(p.TL)
}

// AppendLine implements Record; v must be Current, the form of delta files.
func (d *DeletePrincipal) AppendLine(dst []byte, v Version) ([]byte, error) {
	if v != Current {
		return dst, fmt.Errorf("dumpfmt: version %v: %w", v, ErrDeltaOnly)
	}
	if err := checkName(d.Name); err != nil {
		return dst, fmt.Errorf("dumpfmt: deletion: %w", err)
	}
	out := append(dst, tagDelPrinc...)
	out = appendWireName(out, d.Name, "\t")
	return append(out, "\t;\n"...), nil
}

// AppendLine implements Record; v must be Current, the form of delta files.
func (d *DeletePolicy) AppendLine(dst []byte, v Version) ([]byte, error) {
	if v != Current {
		return dst, fmt.Errorf("dumpfmt: version %v: %w", v, ErrDeltaOnly)
	}
	if err := checkWord(d.Name, maxPolName); err != nil {
		return dst, fmt.Errorf("dumpfmt: deletion: policy %q: %w", d.Name, err)
	}
	out := append(dst, tagDelPolicy...)
	out = appendUint(out, uint64(len(d.Name)))
	out = append(out, '\t')
	out = append(out, d.Name...)
	return append(out, "\t;\n"...), nil
}
