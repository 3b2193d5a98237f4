package slavelist

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var defaults = Defaults{Realm: "EXAMPLE.ORG", Port: 7754}

func TestParse(t *testing.T) {
	text := `# the realm's slaves
kdc2.example.org

KDC3.example.org.:7755   krep/kdc3.example.org@EXAMPLE.ORG # moved
192.0.2.7
[2001:db8::17]:99 krep/kdc4.example.org
2001:db8::18	krep/kdc5
[::1]
branch.example.org connects
branch2.example.org krep/b connects
connects
`
	want := []struct {
		name, addr, principal string
		connects              bool
	}{
		{"kdc2.example.org", "kdc2.example.org:7754", "krep/kdc2.example.org@EXAMPLE.ORG", false},
		{"kdc3.example.org:7755", "kdc3.example.org:7755", "krep/kdc3.example.org@EXAMPLE.ORG", false},
		{"192.0.2.7", "192.0.2.7:7754", "krep/192.0.2.7@EXAMPLE.ORG", false},
		{"[2001:db8::17]:99", "[2001:db8::17]:99", "krep/kdc4.example.org@EXAMPLE.ORG", false},
		{"2001:db8::18", "[2001:db8::18]:7754", "krep/kdc5@EXAMPLE.ORG", false},
		{"::1", "[::1]:7754", "krep/::1@EXAMPLE.ORG", false},
		{"branch.example.org", "branch.example.org:7754", "krep/branch.example.org@EXAMPLE.ORG", true},
		{"branch2.example.org", "branch2.example.org:7754", "krep/b@EXAMPLE.ORG", true},
		{"connects", "connects:7754", "krep/connects@EXAMPLE.ORG", false},
	}
	got, err := Parse(strings.NewReader(text), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d slaves, want %d: %v", len(got), len(want), got)
	}
	for i, w := range want {
		if s := got[i]; s.Name() != w.name || s.Addr() != w.addr || s.Principal != w.principal || s.Connects != w.connects {
			t.Errorf("slave %d is %q %q %q, want %v", i, s.Name(), s.Addr(), s.Principal, w)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		err        error
	}{
		{"three fields", "a b c", 1, ErrFields},
		{"port zero", "ok\na:0", 2, ErrAddress},
		{"port too high", "a:65536", 1, ErrAddress},
		{"port signed", "a:+1", 1, ErrAddress},
		{"no port", "a:", 1, ErrAddress},
		{"no host", ":7754", 1, ErrAddress},
		{"slash", "a/b", 1, ErrAddress},
		{"option", "-x", 1, ErrAddress},
		{"empty label", "a..b", 1, ErrAddress},
		{"brackets around a name", "[a]:1", 1, ErrAddress},
		{"half a bracket", "[::1:7754", 1, ErrAddress},
		{"one principal connects twice", "a krep/x connects\nb krep/x connects", 2, ErrDuplicate},
		{"same address twice", "a\nA:7754", 2, ErrDuplicate},
		{"empty principal component", "a @EXAMPLE.ORG", 1, ErrPrincipal},
		{"long line", "# " + strings.Repeat("x", 4096), 1, ErrTooLong},
		{"many slaves", manyHosts(MaxSlaves + 1), MaxSlaves + 1, ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Parse(strings.NewReader(tt.text), defaults)
			var se *SyntaxError
			if !errors.As(err, &se) || !errors.Is(err, tt.err) || se.Line != tt.line {
				t.Fatalf("got %v, want line %d: %v", err, tt.line, tt.err)
			}
			if list != nil {
				t.Error("a refused list came with slaves")
			}
		})
	}
}

func manyHosts(n int) string {
	var sb strings.Builder
	for i := range n {
		sb.WriteString("h" + strings.Repeat("x", i%7) + "." + string(rune('a'+i%26)) + ".n" + strconv.Itoa(i) + "\n")
	}
	return sb.String()
}

func TestLoadChecksMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slaves")
	if err := os.WriteFile(path, []byte("kdc2.example.org\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, err := Load(path, defaults); err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, defaults); !errors.Is(err, os.ErrPermission) {
		t.Errorf("world-writable list: %v", err)
	}
	if _, err := Load(path+".none", defaults); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing list: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("kdc2.example.org\n[::1]:7 krep/x@R # c\n")
	f.Add("a:1\nb\tkrep/b\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(strings.NewReader(text), defaults)
		if err != nil {
			return
		}
		// What was accepted, written out, reads back as the same list.
		var sb strings.Builder
		for _, s := range list {
			if strings.ContainsAny(s.Principal, "# \t\r\n\v\f\u0085\u00a0") {
				return // the escaped form of such a name cannot stand in a list
			}
			sb.WriteString(s.Addr() + " " + s.Principal)
			if s.Connects {
				sb.WriteString(" connects")
			}
			sb.WriteString("\n")
		}
		again, err := Parse(strings.NewReader(sb.String()), defaults)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q reads back as %v, %v", sb.String(), again, err)
		}
		for i := range list {
			if again[i] != list[i] {
				t.Errorf("%+v reads back as %+v", list[i], again[i])
			}
		}
	})
}
