package krbmsg

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/der"
)

// asReq builds an AS-REQ whose fields the cases replace by other elements.
func asReq(change map[uint8]func(w *der.Writer)) []byte {
	fields := map[uint8]func(w *der.Writer){
		0: func(w *der.Writer) { w.Flags(OptForwardable) },
		1: func(w *der.Writer) { NewName(NTPrincipal, "user").AppendTo(w) },
		2: func(w *der.Writer) { w.GeneralString([]byte("A.TEST")) },
		3: func(w *der.Writer) { NewName(NTSrvInst, "krbtgt", "A.TEST").AppendTo(w) },
		5: func(w *der.Writer) { w.Time(1795305271) },
		7: func(w *der.Writer) { w.Int(12345) },
		8: func(w *der.Writer) {
			m := w.Mark()
			w.Int(17)
			w.Int(18)
			w.Wrap(der.TagSequence, m)
		},
	}
	for n, f := range change {
		fields[n] = f
	}
	w := der.NewWriter(256)
	for n := uint8(13); n > 0; n-- {
		if f := fields[n-1]; f != nil {
			m := w.Mark()
			f(w)
			w.Wrap(der.Context(n-1), m)
		}
	}
	w.Wrap(der.TagSequence, 0)
	w.Wrap(der.Context(4), 0)
	putInt(w, 2, MsgASReq)
	putInt(w, 1, 5)
	wrapMessage(w, appASReq, 0)
	return w.Bytes()
}

func raw(b ...byte) func(w *der.Writer) { return func(w *der.Writer) { w.Raw(b) } }

func text(tag der.Tag, s string) func(w *der.Writer) {
	return func(w *der.Writer) { w.Contents(tag, []byte(s)) }
}

// TestDecodingRules is section 2 of docs/protocols/kdc.md.
func TestDecodingRules(t *testing.T) {
	time := func(s string) map[uint8]func(*der.Writer) {
		return map[uint8]func(*der.Writer){5: text(der.TagGeneralizedTime, s)}
	}
	nonce := func(b ...byte) map[uint8]func(*der.Writer) {
		return map[uint8]func(*der.Writer){7: raw(append([]byte{2, byte(len(b))}, b...)...)}
	}
	options := func(b ...byte) map[uint8]func(*der.Writer) {
		return map[uint8]func(*der.Writer){0: raw(append([]byte{3, byte(len(b))}, b...)...)}
	}
	none := func(n uint8) map[uint8]func(*der.Writer) { return map[uint8]func(*der.Writer){n: nil} }
	flags := func(want uint32) func(*KDCReq) bool {
		return func(q *KDCReq) bool { return q.Body.Options == want }
	}
	isNonce := func(want int64) func(*KDCReq) bool {
		return func(q *KDCReq) bool { return q.Body.Nonce == want }
	}
	till := func(want int64) func(*KDCReq) bool {
		return func(q *KDCReq) bool { return q.Body.Till == want }
	}
	cases := []struct {
		name   string
		change map[uint8]func(*der.Writer)
		want   func(*KDCReq) bool // nil: refused
	}{
		{"plain", nil, flags(OptForwardable)},
		{"no options", none(0), nil},
		{"no cname", none(1), func(q *KDCReq) bool { return !q.Body.CName.Set }},
		{"no realm", none(2), nil},
		{"no sname", none(3), func(q *KDCReq) bool { return !q.Body.SName.Set }},
		{"no till", none(5), nil},
		{"no nonce", none(7), nil},
		{"no etypes", none(8), nil},
		{"empty etype list", map[uint8]func(*der.Writer){8: raw(0x30, 0)},
			func(q *KDCReq) bool { return q.Body.Etypes != nil && len(q.Body.Etypes) == 0 }},
		{"etype beyond 32 bits", map[uint8]func(*der.Writer){8: raw(0x30, 7, 2, 5, 1, 0, 0, 0, 0)}, nil},
		{"negative etype", map[uint8]func(*der.Writer){8: raw(0x30, 4, 2, 2, 0xff, 0x79)},
			func(q *KDCReq) bool { return q.Body.Etypes[0] == -135 }},
		{"unknown field at the end", map[uint8]func(*der.Writer){12: raw(5, 0)}, flags(OptForwardable)},
		{"options of one octet", options(0, 0x40), flags(0x40000000)},
		{"options of six octets", options(0, 1, 2, 3, 4, 5, 6), flags(0x01020304)},
		{"option bits said to be unused", options(4, 0x4f), flags(0x4f000000)},
		{"options of zero bits", options(0), flags(0)},
		{"options without contents", options(), nil},
		{"255 unused bits", options(255, 0, 0, 0, 0), nil},
		{"nonce -1", nonce(0xff), isNonce(-1)},
		{"nonce -2^31", nonce(0x80, 0, 0, 0), isNonce(math.MinInt32)},
		{"nonce 2^31 in five octets", nonce(0, 0x80, 0, 0, 0), isNonce(1 << 31)},
		{"nonce 2^32-1", nonce(0, 0xff, 0xff, 0xff, 0xff), isNonce(math.MaxUint32)},
		{"nonce 2^32", nonce(1, 0, 0, 0, 0), nil},
		{"nonce not minimal", nonce(0, 1), nil},
		{"nonce empty", nonce(), nil},
		{"till 1970", time("19700101000000Z"), till(0)},
		{"till 9999", time("99991231235959Z"), till(253402300799)},
		{"till 2100", time("21000228235959Z"), till(4107542399)},
		{"leap day", time("20240229000000Z"), till(1709164800)},
		{"no leap day", time("21000229000000Z"), nil},
		{"month 13", time("20261321000000Z"), nil},
		{"year 0000", time("00000101000000Z"), nil},
		{"hour 24", time("20260101240000Z"), nil},
		{"leap second", time("20261231235960Z"), nil},
		{"fraction", time("20260101000000.5Z"), nil},
		{"offset", time("20260101000000+0100"), nil},
		{"no seconds", time("202601010000Z"), nil},
		{"letters", time("abcdefghijklmnZ"), nil},
		{"UTCTime", map[uint8]func(*der.Writer){5: text(0x17, "260101000000Z")}, nil},
		{"realm as UTF8String", map[uint8]func(*der.Writer){2: text(der.TagUTF8String, "A.TEST")}, nil},
		{"realm as IA5String", map[uint8]func(*der.Writer){2: text(0x16, "A.TEST")}, nil},
		{"empty realm", map[uint8]func(*der.Writer){2: text(der.TagGeneralString, "")},
			func(q *KDCReq) bool { return q.Body.Realm != nil && len(q.Body.Realm) == 0 }},
		{"realm with any octets", map[uint8]func(*der.Writer){2: text(der.TagGeneralString, "\x00\xff\n")},
			func(q *KDCReq) bool { return string(q.Body.Realm) == "\x00\xff\n" }},
		{"indefinite length", map[uint8]func(*der.Writer){2: raw(0x3b, 0x80, 0, 0)}, nil},
		{"length not minimal", map[uint8]func(*der.Writer){7: raw(2, 0x81, 1, 5)}, nil},
		{"name without parts", map[uint8]func(*der.Writer){1: raw(0x30, 9, 0xa0, 3, 2, 1, 1, 0xa1, 2, 0x30, 0)},
			func(q *KDCReq) bool { return q.Body.CName.Set && len(q.Body.CName.V.Parts) == 0 }},
		{"name of 32768 parts", map[uint8]func(*der.Writer){1: func(w *der.Writer) {
			PrincipalName{Parts: make([][]byte, 1<<15)}.AppendTo(w)
		}}, func(q *KDCReq) bool { return len(q.Body.CName.V.Parts) == 1<<15 }},
		{"name of 32769 parts", map[uint8]func(*der.Writer){1: func(w *der.Writer) {
			PrincipalName{Parts: make([][]byte, 1<<15+1)}.AppendTo(w)
		}}, nil},
		{"the last field twice", map[uint8]func(*der.Writer){11: raw(0x30, 0), 12: raw(0x30, 0)}, flags(OptForwardable)},
		{"ticket of one octet", map[uint8]func(*der.Writer){11: raw(0x30, 1, 0)}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var q KDCReq
			err := q.Parse(asReq(c.change))
			switch {
			case c.want == nil && err == nil:
				t.Errorf("accepted: %+v", q.Body)
			case c.want != nil && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != nil && !c.want(&q):
				t.Errorf("decoded as %+v", q.Body)
			}
			var se *der.SyntaxError
			if err != nil && !errors.As(err, &se) {
				t.Errorf("%v is not a SyntaxError", err)
			}
		})
	}
}

func TestBytesAfterTheMessageAreIgnored(t *testing.T) {
	var q KDCReq
	if err := q.Parse(append(asReq(nil), 1, 2, 3)); err != nil {
		t.Error(err)
	}
}

func TestKvnoForms(t *testing.T) {
	for in, want := range map[string]uint32{
		"\x02\x01\x05": 5, "\x02\x01\xff": math.MaxUint32, "\x02\x05\x00\xff\xff\xff\xff": math.MaxUint32,
	} {
		w := der.NewWriter(64)
		putOctets(w, 2, nil)
		m := w.Mark()
		w.Raw([]byte(in))
		w.Wrap(der.Context(1), m)
		putInt(w, 0, 18)
		w.Wrap(der.TagSequence, 0)
		var e EncryptedData
		if err := e.Parse(w.Bytes()); err != nil || e.Kvno.V != want {
			t.Errorf("%x: kvno %d, %v", in, e.Kvno.V, err)
		}
	}
}

// TestUnparseAgreesWithTheDatabase: the text form is the key under which dumpfmt files a
// principal.
func TestUnparseAgreesWithTheDatabase(t *testing.T) {
	for _, parts := range [][]string{{"user"}, {"host", "svc.a.test"}, {"a/b", "c@d"}, {"back\\slash"},
		{""}, {"", ""}, {"tab\t", "nl\n", "nul\x00", "bs\b", "del\x7f", "é", "sp ace"}} {
		n := NewName(NTPrincipal, parts...)
		for _, realm := range []string{"A.TEST", "odd@realm", "r/s", "a\\b", ""} {
			want := dumpfmt.Name{Realm: realm, Components: parts}.String()
			if got := n.Unparse([]byte(realm)); got != want {
				t.Errorf("%q: %q, database has %q", parts, got, want)
			}
		}
	}
}

func TestNameComparison(t *testing.T) {
	a, b := NewName(NTPrincipal, "host", "x"), NewName(NTSrvHst, "host", "x")
	if !a.Equal(b) || !a.Is("host", "x") || a.Equal(NewName(1, "host")) || a.Is("host", "y") || a.Is("host") {
		t.Error("names compare by parts only")
	}
}

func TestErrorTextIsComplete(t *testing.T) {
	if ErrorText(ErrPreauthFailed) != "Preauthentication failed" || !strings.HasPrefix(ErrorText(12345), "Unknown") {
		t.Error("error texts")
	}
}

// TestMessageRules is what section 2 says of the request around its body.
func TestMessageRules(t *testing.T) {
	good := asReq(nil)
	edit := func(change func(w *der.Writer, body []byte)) []byte {
		var q KDCReq
		if err := q.Parse(good); err != nil {
			t.Fatal(err)
		}
		w := der.NewWriter(256)
		change(w, q.RawBody)
		return w.Clone()
	}
	request := func(app uint8, version, kind int64, padata []PAData) []byte {
		return edit(func(w *der.Writer, body []byte) {
			w.Raw(body)
			w.Wrap(der.Context(4), 0)
			putList(w, 3, padata, putPAData)
			putInt(w, 2, kind)
			putInt(w, 1, version)
			wrapMessage(w, app, 0)
		})
	}
	for _, c := range []struct {
		name string
		msg  []byte
		ok   bool
	}{
		{"AS", request(appASReq, 5, MsgASReq, nil), true},
		{"TGS", request(appTGSReq, 5, MsgTGSReq, nil), true},
		{"empty padata list", request(appASReq, 5, MsgASReq, []PAData{}), true},
		{"negative and unknown padata", request(appASReq, 5, MsgASReq, []PAData{{Type: -7}, {Type: math.MaxInt32}}), true},
		{"another type under the tag: refused later", request(appASReq, 5, 30, nil), true},
		{"negative type", request(appASReq, 5, -1, nil), false},
		{"version 4", request(appASReq, 4, MsgASReq, nil), false},
		{"version 6", request(appASReq, 6, MsgASReq, nil), false},
		{"another tag", request(appAPReq, 5, MsgASReq, nil), false},
		{"no body", edit(func(w *der.Writer, _ []byte) {
			putInt(w, 2, MsgASReq)
			putInt(w, 1, 5)
			wrapMessage(w, appASReq, 0)
		}), false},
		{"body twice inside its tag", edit(func(w *der.Writer, body []byte) {
			w.Raw(body)
			w.Raw(body)
			w.Wrap(der.Context(4), 0)
			putInt(w, 2, MsgASReq)
			putInt(w, 1, 5)
			wrapMessage(w, appASReq, 0)
		}), false},
	} {
		var q KDCReq
		if err := q.Parse(c.msg); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		} else if c.ok && !bytes.Equal(q.RawBody, Marshal(&q.Body)) {
			t.Errorf("%s: raw body %x", c.name, q.RawBody)
		}
	}
	for b, want := range map[string]bool{"\x6a": true, "\x6c\x00": true, "": false, "\x6e": false, "\x30": false, "\x00": false, "\x7e": false} {
		if IsKDCReq([]byte(b)) != want {
			t.Errorf("first octet of %q", b)
		}
	}
}
