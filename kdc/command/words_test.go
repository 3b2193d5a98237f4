package command

import (
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

func TestGetopt(t *testing.T) {
	for _, c := range []struct {
		args, opts, rest []string
		err              string
	}{
		{[]string{"-a", "-b", "x", "y"}, []string{"a", "b=x"}, []string{"y"}, ""},
		{[]string{"-abx", "y"}, []string{"a", "b=x"}, []string{"y"}, ""},
		{[]string{"-bx", "-a"}, []string{"b=x", "a"}, nil, ""},
		{[]string{"-b", "-a"}, []string{"b=-a"}, nil, ""},
		{[]string{"y", "-a"}, nil, []string{"y", "-a"}, ""},
		{[]string{"-a", "--", "-b"}, []string{"a"}, []string{"-b"}, ""},
		{[]string{"-", "-a"}, nil, []string{"-", "-a"}, ""},
		{[]string{"-aZ"}, []string{"a"}, nil, "invalid option -- 'Z'"},
		{[]string{"-:"}, nil, nil, "invalid option -- ':'"},
		{[]string{"-ab"}, []string{"a"}, nil, "option requires an argument -- 'b'"},
	} {
		g := getopt{args: c.args, spec: "ab:"}
		var opts []string
		var msg string
		for {
			opt, arg, err := g.next()
			if err != nil {
				msg = err.Error()
			}
			if opt == 0 {
				break
			}
			o := string(opt)
			if arg != "" {
				o += "=" + arg
			}
			opts = append(opts, o)
		}
		if !slices.Equal(opts, c.opts) || msg != c.err || (c.err == "" && !slices.Equal(g.args, c.rest)) {
			t.Errorf("%q: %q, left %q, %q", c.args, opts, g.args, msg)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		ok   bool
	}{
		{"", nil, true},
		{" \t ", nil, true},
		{" a  b\tc ", []string{"a", "b", "c"}, true},
		{`a "b c" d`, []string{"a", "b c", "d"}, true},
		{`a"b c"d`, []string{"ab cd"}, true},
		{`a ""`, []string{"a", ""}, true},
		{`"a""b"`, []string{`a"b`}, true},
		{`"a" "b"`, []string{"a", "b"}, true},
		{`a\ b 'c d'`, []string{`a\`, "b", "'c", "d'"}, true},
		{`"a`, nil, false},
		{`a "`, nil, false},
	} {
		got, ok := splitWords(c.line)
		if ok != c.ok || (ok && !slices.Equal(got, c.want)) {
			t.Errorf("%q: %q %v, want %q %v", c.line, got, ok, c.want, c.ok)
		}
	}
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a "b c" ""d`)
	f.Fuzz(func(t *testing.T, line string) {
		words, ok := splitWords(line)
		if !ok {
			return
		}
		n := 0
		for _, w := range words {
			n += len(w)
		}
		if n > len(line) {
			t.Fatalf("%q became longer: %q", line, words)
		}
	})
}

func TestParseCcacheHead(t *testing.T) {
	// Version 4, a header of 12 bytes, name type 1, one component.
	good := "\x05\x04\x00\x0c\x00\x01\x00\x08\xff\xff\xff\xff\x00\x00\x00\x00" +
		"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01R\x00\x00\x00\x05alice rest"
	n, err := parseCcacheHead([]byte(good))
	if err != nil || n.String() != "alice@R" {
		t.Errorf("%v, %v", n, err)
	}
	for i := range len(good) - len(" rest") {
		if _, err := parseCcacheHead([]byte(good[:i])); err == nil {
			t.Errorf("accepted when cut at %d", i)
		}
	}
}

func FuzzParseCcacheHead(f *testing.F) {
	f.Add([]byte("\x05\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01R\x00\x00\x00\x01a"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseCcacheHead(b) })
}

func TestPresent(t *testing.T) {
	for in, want := range map[int64]string{
		0: "0 days 00:00:00", 86400: "1 day 00:00:00", 90061: "1 day 01:01:01", 172800: "2 days 00:00:00", -5: "-0 days 00:00:05",
	} {
		if got := strdur(in); got != want {
			t.Errorf("%d: %q, want %q", in, got, want)
		}
	}
	if got := attributes(0x80000081); got != " DISALLOW_POSTDATED REQUIRES_PRE_AUTH 0x80000000" {
		t.Errorf("attributes %q", got)
	}
	for e, want := range map[krbcrypto.Enctype]string{
		18: "aes256-cts-hmac-sha1-96", 23: "DEPRECATED:arcfour-hmac", 99: "UNSUPPORTED:<Encryption type 0x63>",
	} {
		if got := enctypeName(e); got != want {
			t.Errorf("enctype %d: %q, want %q", e, got, want)
		}
	}
	for want, k := range map[string]dumpfmt.Key{
		"": {Ver: 1, SaltType: 4}, ":special": {Ver: 2, SaltType: 4}, ":<Salt type 0x1>": {Ver: 2, SaltType: 1},
	} {
		if got := saltSuffix(&k); got != want {
			t.Errorf("%+v: %q, want %q", k, got, want)
		}
	}
}
