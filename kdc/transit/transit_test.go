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
		{"/COM,/HP,/APOLLO, /COM/DEC", "", "", "/COM /COM/HP /COM/HP/APOLLO /COM/DEC"},
		{"EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS., /COM,/HP", "X", "Y",
			"EDU MIT.EDU ATHENA.MIT.EDU WASHINGTON.EDU CS.WASHINGTON.EDU /COM /COM/HP"},
		{",EDU,", "ATHENA.MIT.EDU", "CS.WASHINGTON.EDU", "MIT.EDU EDU WASHINGTON.EDU"},
		{`a\,b,c\\d`, "X", "Y", `a,b c\d`},
		{"ONE", "X", "Y", "ONE"},
		{" X.", "Y", "Z", "X."},
	} {
		got, err := Expand([]byte(c.list), c.client, c.server)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v; want %q", c.list, got, err, c.want)
		}
	}
	for _, bad := range []string{`a\`, ",EDU", strings.Repeat("x", 501), strings.Repeat("x,", 200)} {
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
	} {
		if err := Check([]byte(c.list), c.client, c.server, capaths); (err == nil) != c.ok {
			t.Errorf("%q from %s to %s: %v", c.list, c.client, c.server, err)
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
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q: %q, %v; want %q", list, got, err, want)
			}
		}
	})
}

// TestAppendToGaps: an empty element stands for no realm, or for those it stood for before.
func TestAppendToGaps(t *testing.T) {
	for _, c := range []struct{ list, client, server, want string }{
		{",", "A", "A", "X"},
		{",EDU,", "ATHENA.MIT.EDU", "CS.WASHINGTON.EDU", "MIT.EDU,EDU,WASHINGTON.,X"},
	} {
		got, err := Append([]byte(c.list), "X", c.client, c.server)
		if err != nil || string(got) != c.want {
			t.Errorf("%q: %q, %v; want %q", c.list, got, err, c.want)
		}
	}
	if _, err := Append([]byte(strings.Repeat("A", 499)), "BB", "X", "Y"); !errors.Is(err, ErrList) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add([]byte("EDU,MIT.,, /COM,/HP"), "A.B", "C")
	f.Add([]byte(","), "0", "0")
	f.Fuzz(func(t *testing.T, list []byte, client, server string) {
		realms, err := Expand(list, client, server)
		if err == nil && len(realms) > 2*maxRealms {
			t.Errorf("%d realms", len(realms))
		}
		if _, err := Append(list, server, client, server); err != nil && !errors.Is(err, ErrList) {
			t.Error(err)
		}
	})
}
