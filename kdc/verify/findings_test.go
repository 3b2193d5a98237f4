package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// TestRealms: realms that MIT made have nothing wrong but what is known of them.
func TestRealms(t *testing.T) {
	const lost = " svc/new@EXAMPLE.COM error: key version 1 (aes256-cts-hmac-sha1-96): no version of the master key opens it"
	want := map[string][]string{ // by the end of the file's name: what is found
		"full/1.23pre.dump": {"8 dangling@EXAMPLE.COM warning: is an alias of \"nobody@EXAMPLE.COM\", which does not exist"},
		"6-purged.dump":     {"12" + lost, "12" + strings.Replace(lost, "aes256", "aes128", 1)},
	}
	want["7-third.dump"], want["8-future.dump"] = want["6-purged.dump"], want["6-purged.dump"]
	for _, stage := range []string{"3-mixed.dump", "4-stashed.dump", "5-reencrypted.dump"} {
		want[stage] = []string{"12 svc/new@EXAMPLE.COM warning: says that version 2 of the master key seals it, but another seals key " +
			"version 1 (aes256-cts-hmac-sha1-96), version 1 (aes128-cts-hmac-sha1-96): MIT's purge_mkeys would lose it; " +
			"change the password or run update_princ_encryption here"}
	}
	files, err := filepath.Glob(realms + "*/*.dump")
	if err != nil {
		t.Fatal(err)
	}
	stages, err := filepath.Glob(realms + "*/*/*.dump")
	if err != nil || len(files) < 20 || len(stages) != 18 {
		t.Fatal(len(files), len(stages), err)
	}
	for _, f := range append(files, stages...) {
		got, sum := check(t, readFile(t, f), strings.TrimSuffix(f, ".dump")+".stash")
		expected := want[filepath.Base(f)]
		if expected == nil {
			expected = want[filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f)]
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%s:\n%s\nwant\n%s", f, strings.Join(got, "\n"), strings.Join(expected, "\n"))
		}
		if sum.Keys == 0 || sum.KeysOpened != sum.Keys-sum.Errors || sum.RememberedOpened != sum.Remembered {
			t.Errorf("%s: %+v", f, sum)
		}
	}
}

// entry is an entry with nothing wrong.
func entry(name string) *dumpfmt.Principal {
	p := &dumpfmt.Principal{Name: name + "@EXAMPLE.COM"}
	p.SetModPrinc(1, "admin@EXAMPLE.COM")
	return p
}

func with(name string, tl int16, data string) *dumpfmt.Principal {
	p := entry(name)
	p.SetTL(tl, []byte(data))
	return p
}

func TestFindings(t *testing.T) {
	ring, sealed := testRing(t)
	key := func(ver int16, kvno uint16, e krbcrypto.Enctype, sealed []byte) *dumpfmt.Principal {
		p := entry("k")
		p.Keys = []dumpfmt.Key{{Ver: ver, Kvno: kvno, Enctype: int16(e), Sealed: sealed}}
		return p
	}
	foreign := entry("f")
	foreign.Name = "f@ELSEWHERE"
	policy := entry("p")
	policy.SetKadmData(dumpfmt.KadmData{Policy: "none", HistKVNO: 2})
	remembers := entry("r")
	remembers.SetKadmData(dumpfmt.KadmData{HistKVNO: 2, History: [][]dumpfmt.HistKey{{{Ver: 1, Kvno: 1, Enctype: 18, Sealed: []byte("x")}}}})
	keyless := entry("krbtgt/EXAMPLE.COM")
	for _, c := range []struct {
		p    *dumpfmt.Principal
		want string // severity and part of the text; "" for nothing
	}{
		{entry("good"), ""},
		{&dumpfmt.Principal{Name: "m@EXAMPLE.COM"}, "error: does not say in a readable form who changed it last"},
		{with("m", dumpfmt.TLModPrinc, "\x00\x00\x00\x00a@b@c\x00"), "error: does not say in a readable form"},
		{with("m", dumpfmt.TLModPrinc, "\x00\x00\x00\x00\x00"), "error: does not say in a readable form"},
		{with("w", dumpfmt.TLLastPwdChange, "12345678"), "warning: the time of the last password change has 8 bytes, not 4"},
		{with("w", dumpfmt.TLMKVNO, "1"), "warning: the version of the master key has 1 bytes, not 2"},
		{with("w", dumpfmt.TLLastAdminUnlock, ""), "warning: the time of the last unlock has 0 bytes"},
		{with("s", dumpfmt.TLStringAttrs, "key"), "error: its string attributes cannot be read"},
		{with("s", dumpfmt.TLStringAttrs, ""), ""},
		{with("d", dumpfmt.TLKadmData, "junk"), "error: kadmin's data (policy and password history) cannot be read"},
		{with("a", dumpfmt.TLAliasTarget, "x"), "error: is an alias of something that is no name"},
		{with("a", dumpfmt.TLAliasTarget, "good@EXAMPLE.COM\x00"), "warning: is an alias of \"good@EXAMPLE.COM\", which does not exist"},
		{with("a", dumpfmt.TLAliasTarget, "a@EXAMPLE.COM\x00"), ""},
		{entry(strings.Repeat("x", 500)), "warning: the name has 512 bytes: MIT's LMDB database takes 511"},
		{foreign, "warning: is of another realm than \"K/M@EXAMPLE.COM\""},
		{policy, "warning: refers to policy \"none\", which does not exist: no rules apply"},
		{remembers, "warning: remembers old keys without a policy"},
		{keyless, "error: has no key: no KDC can issue tickets"},
		{key(1, 1, krbcrypto.ETypeAES256SHA1, sealed), ""},
		{key(1, 0, krbcrypto.ETypeAES256SHA1, sealed), "warning: has a key of version 0"},
		{key(0, 1, 0, nil), "warning: key version 1 (etype 0) has no data"},
		{key(1, 1, krbcrypto.ETypeAES256SHA1, sealed[1:]), "error: key version 1 (aes256-cts-hmac-sha1-96): no version of the master key opens it"},
		{key(1, 3, krbcrypto.ETypeAES128SHA1, sealed), "error: key version 3 (aes128-cts-hmac-sha1-96): what it opens to is no key of its type"},
		{key(1, 1, 3, sealed), "warning: key version 1 (des-cbc-md5) is of a type that this program cannot use: it is kept"},
	} {
		var got []string
		ck := New(Options{Master: master, Ring: ring, Report: func(f Finding) {
			if f.Name == c.p.Name {
				got = append(got, f.Severity.String()+": "+f.Text)
			}
		}})
		ck.Principal(c.p, 0)
		ck.End()
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
			t.Errorf("%s: found %q, want %q", c.p.Name, got, c.want)
		}
	}
}

// testRing is a master key, and a key of 32 bytes that it seals.
func testRing(t testing.TB) (*mkey.Ring, []byte) {
	t.Helper()
	var keys [2]*krbcrypto.Key
	for i := range keys {
		k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	_, ring, err := mkey.NewMaster(master, 1, keys[0], at0)
	if err != nil {
		t.Fatal(err)
	}
	return ring, mkey.SealUnder(keys[0], keys[1])
}

// TestMasterEntry: what can be wrong with K/M itself.
func TestMasterEntry(t *testing.T) {
	good := func() *dumpfmt.Principal {
		p := entry("K/M")
		p.Keys = []dumpfmt.Key{{Ver: 1, Kvno: 2, Enctype: 18, Sealed: []byte("x")}}
		return p
	}
	for want, change := range map[string]func(p *dumpfmt.Principal){
		"":                                      func(*dumpfmt.Principal) {},
		"error: has no key":                     func(p *dumpfmt.Principal) { p.Keys = nil },
		"error: its list of active versions":    func(p *dumpfmt.Principal) { p.SetTL(dumpfmt.TLActKVNO, []byte("x")) },
		"error: its list of keys for older":     func(p *dumpfmt.Principal) { p.SetTL(dumpfmt.TLMkeyAux, []byte("x")) },
		"error: says that version 1 is active,": func(p *dumpfmt.Principal) { p.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: 1}}) },
	} {
		p := good()
		change(p)
		var got []string
		c := New(Options{Master: master, Report: func(f Finding) {
			if f.Name == master {
				got = append(got, f.Severity.String()+": "+f.Text)
			}
		}})
		c.Principal(p, 0)
		c.End()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}

// TestHistory: remembered keys that do not open, and those of an older kadmin/history.
func TestHistory(t *testing.T) {
	dump := realms + "full/1.20.1"
	found, err := Find(bytes.NewReader(readFile(t, dump+".dump")), master, history)
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	st, err := mkey.ReadStashOf(dump+".stash", master)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := mkey.Open(st, found[master])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kvno uint32
		want string
	}{
		{2, "1 of its 1 remembered keys do not open"},
		{1, "its 1 remembered keys are sealed by version 1 of kadmin/history, which is at 2"},
	} {
		p := entry("r")
		p.SetKadmData(dumpfmt.KadmData{Policy: "x", HistKVNO: c.kvno, History: [][]dumpfmt.HistKey{{{Ver: 1, Kvno: 1, Enctype: 18, Sealed: make([]byte, 62)}}}})
		var got []string
		New(Options{Master: master, Ring: ring, History: found[history], Report: func(f Finding) { got = append(got, f.Text) }}).Principal(p, 0)
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("kvno %d: found %q, want %q", c.kvno, got, c.want)
		}
	}
}

// TestFileFaults: what only a file can have.
func TestFileFaults(t *testing.T) {
	const (
		head   = "kdb5_util load_dump version 7\n"
		user   = "princ\t38\t13\t0\t0\t0\tu@EXAMPLE.COM\t0\t86400\t0\t0\t0\t0\t0\t0\t-1;\n"
		policy = "policy\tp\t0\t0\t1\t1\t1\t0\t0\t0\t0\t0\t0\t0\t-\t0\n"
	)
	for _, c := range []struct{ text, want string }{
		{head + user + policy + user, "4 u@EXAMPLE.COM warning: comes again, after line 2: the last counts"},
		{head + policy + policy, "3 p warning: this policy comes twice in the file: the last counts"},
		{head + "nonsense\n" + user, "2  error: field 1: unknown record type \"nonsense\""},
		{head + user[:40], "2  error: the file ends inside this line: its line feed is missing; MIT's loader never returns from such a file"},
		{head + strings.Replace(user, "\tu@", "\t u@", 1), ""},
		{head + strings.Replace(strings.Replace(user, "\t13\t", "\t14\t", 1), "\tu@", "\t u@", 1),
			"2  u@EXAMPLE.COM error: the name begins with white space: MIT's loader destroys it"},
		{"iprop 5 6 7\n" + strings.Replace(user, "\t86400", "\t86401", 1), "1  warning: an iprop dump: kdb5_util load takes it with -i only"},
	} {
		got, _ := check(t, []byte(c.text), "")
		if c.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
			t.Errorf("%q:\n%s\nwant %s", c.text, strings.Join(got, "\n"), c.want)
		}
	}
	for _, text := range []string{"", "hello\n", "kdb5_util load_dump version 3.0\n"} {
		if _, err := File(strings.NewReader(text), Options{Master: master, Report: func(Finding) {}}); err == nil {
			t.Errorf("%q is no dump, and no error", text)
		}
	}
}

func TestDatabase(t *testing.T) {
	f, err := os.Open(realms + "mkey/1.20.1/6-purged.dump")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	db, err := kdb.Create(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"), "EXAMPLE.COM", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Load(t.Context(), f, kdb.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	found, err := Find(f, master)
	if err != nil {
		t.Fatal(err)
	}
	st, err := mkey.ReadStashOf(realms+"mkey/1.20.1/6-purged.stash", master)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := mkey.Open(st, found[master])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	sum, err := Database(t.Context(), db, Options{Master: master, Ring: ring, Report: func(f Finding) { got = append(got, f.Name) }})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"svc/new@EXAMPLE.COM", "svc/new@EXAMPLE.COM"}) || sum.Principals != 12 || sum.Errors != 2 {
		t.Errorf("found %q, %+v", got, sum)
	}
}

// FuzzFile: no file makes the check fail in any other way than by saying so.
func FuzzFile(f *testing.F) {
	for _, path := range []string{"mketype/1.20.1-aes128-cts-hmac-sha1-96.dump", "mkey/1.20.1/3-mixed.dump"} {
		b, err := os.ReadFile(realms + path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("kdb5_util load_dump version 7\nprinc\t38\t3\t0\t0\t0\tu@R\t0\t86400\t0\t0\t0\t0\t0\t0\t-1;\n"))
	ring, _ := testRing(f)
	f.Fuzz(func(t *testing.T, dump []byte) {
		found := 0
		sum, err := File(bytes.NewReader(dump), Options{Master: master, Ring: ring, Report: func(Finding) { found++ }})
		if err == nil && sum.Errors+sum.Warnings > found || sum.KeysOpened > sum.Keys {
			t.Errorf("%d found, %+v", found, sum)
		}
		if _, err := Find(bytes.NewReader(dump), master, history); err != nil && sum.Principals > 0 {
			t.Error(err)
		}
	})
}
