package transit

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		list, client, server, want string
	}{
		{"", "A", "B", ""},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.", "X", "Y", "EDU MIT.EDU ATHENA.MIT.EDU WASHINGTON.EDU CS.WASHINGTON.EDU"},
		{"/COM,/HP,/APOLLO, /COM/DEC", "C.TEST", "S.TEST", "/COM /COM/HP /COM/HP/APOLLO /COM/DEC"},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS., /COM,/HP", "X", "Y",
			"EDU MIT.EDU ATHENA.MIT.EDU WASHINGTON.EDU CS.WASHINGTON.EDU /COM /COM/HP"},
		{",EDU,", "ATHENA.MIT.EDU", "CS.WASHINGTON.EDU", "MIT.EDU EDU WASHINGTON.EDU"},
		{`a\,b,c\\d`, "X", "Y", `a,b c\d`},
		{"ONE", "X", "Y", "ONE"},
		{" X.", "Y", "Z", "X."},
		{"X.", "Y", "Z", "X."},
		{"A.TEST\x00", "Y", "Z", "A.TEST"},
		{"\x00", "Y", "Z", ""},
		{",MIT.EDU", "ATHENA.MIT.EDU", "S", "MIT.EDU"},
		{"/COM,, /COM/A/B/C", "X", "Y", "/COM /COM/A /COM/A/B /COM/A/B/C"},
		{"/COM/A/B/C,, /COM", "X", "Y", "/COM/A/B/C /COM/A/B /COM/A /COM"},
		{"/COM,, /COM/A", "X", "Y", "/COM /COM/A"},
		{"EDU,,B.C.EDU", "X", "Y", "EDU C.EDU B.C.EDU"},
		{"B.C.EDU,,EDU", "X", "Y", "B.C.EDU C.EDU EDU"},
		{"A,,A", "X", "Y", "A A"},
	} {
		got, err := Expand([]byte(c.list), c.client, c.server)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v; want %q", c.list, got, err, c.want)
		}
	}
	for _, bad := range []string{strings.Repeat("x,", 200) + "x", "EDU,," + strings.Repeat("A.", 100) + "EDU", "A,,AB", "/A,, /AB", `a\`, ",EDU", strings.Repeat("x", maxField+1), strings.Repeat("x,", 200), "A" + strings.Repeat(".,"+strings.Repeat("x", 200), 60)} {
		if got, err := Expand([]byte(bad), "COM", "ORG"); !errors.Is(err, ErrList) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"ATHENA.MIT.EDU", "MIT.EDU", "ATHENA.MIT.EDU MIT.EDU"},
		{"ATHENA.MIT.EDU", "HACK.EDU", "ATHENA.MIT.EDU MIT.EDU EDU HACK.EDU"},
		{"ATHENA.MIT.EDU", "HACK.FOOBAR.COM", "ATHENA.MIT.EDU MIT.EDU EDU COM FOOBAR.COM HACK.FOOBAR.COM"},
		{"A", "A", "A"},
		{"A.TEST", "B.TEST", "A.TEST TEST B.TEST"},
	} {
		if got := strings.Join(Path(c.from, c.to), " "); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	capaths := func(client, _ string) ([]string, bool) { return []string{"HUB"}, client == "SPOKE" }
	for _, c := range []struct {
		list, client, server string
		ok                   bool
	}{
		{"", "A", "B", true},
		{"anything", "WELLKNOWN:ANONYMOUS", "B", true},
		{"EDU", "ATHENA.MIT.EDU", "HACK.EDU", true},
		{"COM", "ATHENA.MIT.EDU", "HACK.EDU", false},
		{"HUB", "SPOKE", "B", true},
		{"EVIL", "SPOKE", "B", false},
		{"HUB", "A", "B", false},
		{`\`, "A", "B", false},
		{"B.TEST", "A.TEST", "B.TEST", false}, // the server's own
		{"A.TEST", "A.TEST", "B.TEST", true},
		{"A.TEST", "A.TEST", "A.TEST", false},
		{"TEST", "A.TEST", "B.TEST", true},
		{"\x00", "A", "B", true},
	} {
		if err := Check([]byte(c.list), c.client, c.server, capaths); (err == nil) != c.ok {
			t.Errorf("%q from %s to %s: %v", c.list, c.client, c.server, err)
		}
	}
}

// TestCheckAlso: some realms may be allowed besides.
func TestCheckAlso(t *testing.T) {
	list := []byte("B.TEST,C.TEST")
	if err := Check(list, "C.TEST", "B.TEST", nil, "B.TEST"); err != nil {
		t.Error(err)
	}
	if Check(list, "C.TEST", "B.TEST", nil) == nil || Check(list, "D.TEST", "B.TEST", nil, "B.TEST") == nil {
		t.Error("more was allowed than was said")
	}
}

// TestAppend is section 5.7: the lists that MIT krb5 makes. The first ten are what its own test
// (src/kdc/rtscript) asks and expects.
func TestAppend(t *testing.T) {
	const client, server = "SUB1M.ATHENA.MIT.EDU", "SUB1W.CS.WASHINGTON.EDU"
	for _, c := range []struct{ list, realm, want string }{
		{"", "ATHENA.MIT.EDU", "ATHENA.MIT.EDU"},
		{"ATHENA.MIT.EDU", "MIT.EDU", "MIT.EDU,ATHENA."},
		{"MIT.EDU,ATHENA.", "EDU", "EDU,MIT.,ATHENA."},
		{"EDU,MIT.,ATHENA.", "WASHINGTON.EDU", "EDU,MIT.,ATHENA.,WASHINGTON.EDU"},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU", "CS.WASHINGTON.EDU", "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS."},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.", "SUB2W.CS.WASHINGTON.EDU", "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W."},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W.", "SUB3W.CS.WASHINGTON.EDU", "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W.,SUB3W.CS.WASHINGTON.EDU"},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W.", server, "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W."},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W.", client, "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,SUB2W."},
		{"EDU,SUB2M.ATHENA.MIT.,WASHINGTON.EDU,CS.", "ATHENA.MIT.EDU", "EDU,ATHENA.MIT.,SUB2M.,WASHINGTON.EDU,CS."},

		{"B.TEST", "C.TEST", "B.TEST,C.TEST"},
		{"B.TEST", "B.TEST", "B.TEST"},
		{"TEST", "B.TEST", "TEST,B."},
		{"B.TEST", "AB.TEST", "B.TEST,AB.TEST"}, // MIT shortens this to "A", which means another realm
		{"/COM", "/COM/HP", "/COM,/HP"},
		{"/COM/HP", "/COM", "/COM,/HP"},
		{"EDU", "/COM", "EDU, /COM"},
		{"EDU, /COM/HP", "/COM", "EDU, /COM,/HP"},
		{"/COM", "/COMIC", "/COM, /COMIC"},
		{"EDU,MIT.", "COM", "EDU,MIT.,COM"},
		{"EDU,MIT.", "HARVARD.EDU", "EDU,MIT.,HARVARD.EDU"}, // MIT. would lose its EDU
		{"EDU,COM", "MIT.EDU", "EDU,MIT.,COM"},
		{"A", "a,b", `A,a\,b`},
		{",", "X", "X"},
		{"EDU,,EDU", "X", "EDU,X"},
		{"EDU", "X.EDU.", "EDU, X.EDU."},
		{",EDU,", "X", "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.,X"},
	} {
		got, err := Append([]byte(c.list), c.realm, client, server)
		if err != nil && c.list == "," {
			continue // client and server are not in one line
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%q and %q: %q, %v; want %q", c.list, c.realm, got, err, c.want)
		}
	}
	for n, want := range map[int]error{maxMade - 3: nil, maxMade - 2: ErrList} {
		if _, err := Append([]byte(strings.Repeat("A", n)), "BB", client, server); !errors.Is(err, want) {
			t.Errorf("%d octets and three more: %v", n, err)
		}
	}
}

// TestAppendKeepsTheRealms: whatever form a list takes, expanding it gives back what was added.
func TestAppendKeepsTheRealms(t *testing.T) {
	realm := rapid.StringMatching(`[ /]?[A-C,\\]{1,3}([./][A-C]{1,2}){0,3}\.?`)
	rapid.Check(t, func(t *rapid.T) {
		var list []byte
		var want []string
		for _, r := range rapid.SliceOfN(realm, 0, 8).Draw(t, "realms") {
			var err error
			if list, err = Append(list, r, "CLIENT", "SERVER"); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(want, r) {
				want = append(want, r)
			}
			got, err := Expand(list, "CLIENT", "SERVER")
			slices.Sort(got)
			slices.Sort(want)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q: %q, %v; want %q", list, got, err, want)
			}
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add([]byte("EDU,MIT.,, /COM,/HP"), "A.B", "C")
	f.Add([]byte(","), "0", "0")
	f.Fuzz(func(t *testing.T, list []byte, client, server string) {
		realms, err := Expand(list, client, server)
		if err == nil && len(realms) > 2*maxRealms {
			t.Errorf("%d realms", len(realms))
		}
		longer, err := Append(list, "X.Y", client, server)
		if err != nil {
			if !errors.Is(err, ErrList) {
				t.Error(err)
			}
			return
		}
		after, err := Expand(longer, client, server)
		if err != nil && !errors.Is(err, ErrList) {
			t.Error(err)
		}
		for _, r := range realms {
			if err == nil && !slices.Contains(after, r) {
				t.Errorf("%q lost %q: %q", list, r, longer)
			}
		}
	})
}
