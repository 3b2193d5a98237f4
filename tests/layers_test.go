package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "krealm"

// layers lists every package from the top of the house down. A package may import what stands in
// a lower layer, and, where the layer is marked stacked, what stands further down in its own. In
// a layer that is not stacked the packages do not know one another: whoever stands above wires
// them together.
var layers = []struct {
	name     string
	stacked  bool
	packages []string
}{
	{"house", true, []string{"tests", "tests/interop", "tests/scenario", "tests/demo", "tests/bench", "tests/bench/replication", "tests/sim", "tests/crash", "tests/netns", "tests/namespace", "tests/testrealm",
		"tests/largerealm/gen", "tests/largerealm", "tests/kdctest", "tests/kdcfixture"}},
	{"main", false, []string{"krep", "krepd", "kdc"}},
	{"command", false, []string{"krep/command", "krepd/command", "kdc/command"}},
	{"services", false, []string{"krep/sender", "krep/feed", "krep/verify", "krep/delta", "krep/dumpcmd", "krep/delta", "krepd/receiver", "krepd/apply",
		"kdc/as", "kdc/tgs", "kdc/serve", "kdc/tabdump", "kdc/verify", "internal/admin"}},
	{"stores", true, []string{"krepd/spool", "kdc/lockout", "kdc/authdata", "kdc/preauth", "kdc/fast", "kdc/pac",
		"kdc/ticket", "kdc/transit", "kdc/realm", "kdc/exchange", "kdc/kdb", "kdc/heimdal", "kdc/mkey", "internal/daemon/daemontest", "internal/daemon", "internal/control",
		"internal/stream/streamtest", "internal/stream", "internal/krb", "internal/realmconf"}},
	{"values", true, []string{"krep/slave", "krep/slavelist", "internal/repeats", "internal/wire", "internal/quorum", "internal/keytab", "internal/sdnotify", "internal/spake", "internal/krbmsg",
		"internal/krbcrypto", "internal/getdate",
		"internal/der", "internal/profile", "deltafile", "dumpfmt/heimdal", "dumpfmt"}},
}

// onlyImporters names, for modules that are kept behind one package, those that may import them.
// Tests and the house are free to use gokrb5 as a client and as a judge.
var onlyImporters = map[string][]string{
	"github.com/jcmturner/gokrb5": {"internal/krb"},
	"modernc.org/sqlite":          {"kdc/kdb"},
	"github.com/fsnotify":         {"deltafile"},
}

// forbidden are imports that the ranks alone would allow.
var forbidden = map[string][]string{
	"deltafile": {"dumpfmt"},       // it carries bytes
	"dumpfmt":   {"deltafile"},     // no I/O but io.Reader and io.Writer
	"krep":      {"kdc/mkey"},      // replication never needs the master key
	"krepd":     {"kdc/mkey"},      //
	"internal":  {"krep", "krepd"}, // what everybody shares depends on no program
	"kdc":       {"krep", "krepd"}, //
}

type listed struct {
	ImportPath string
	Name, Doc  string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports,Deps", module+"/...")
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = own(p.ImportPath)
		all = append(all, p)
	}
}

// own strips the module's name: "krealm/kdc/kdb" becomes "kdc/kdb".
func own(p string) string { return strings.TrimPrefix(p, module+"/") }

// rank is a package's place: layer and position from the top; ok is false without one.
func rank(pkg string) (layer, position int, ok bool) {
	for i, l := range layers {
		if j := slices.Index(l.packages, pkg); j >= 0 {
			return i, j, true
		}
	}
	return 0, 0, false
}

func within(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t) {
		from, fromPos, ok := rank(p.ImportPath)
		if !ok {
			t.Errorf("%s has no rank: give it one in layers", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module+"/") {
				continue
			}
			to, toPos, ok := rank(own(imported))
			down := to > from || to == from && layers[from].stacked && toPos > fromPos
			if ok && !down {
				t.Errorf("%s (%s) imports %s (%s): imports point down only",
					p.ImportPath, layers[from].name, own(imported), layers[to].name)
			}
		}
	}
}

func TestRankedPackagesExist(t *testing.T) {
	all := list(t)
	for _, l := range layers {
		for _, name := range l.packages {
			if !slices.ContainsFunc(all, func(p listed) bool { return p.ImportPath == name }) {
				t.Errorf("%s is ranked in %s and does not exist", name, l.name)
			}
		}
	}
}

func TestOneImporterEach(t *testing.T) {
	for _, p := range list(t) {
		if within(p.ImportPath, "tests") {
			continue
		}
		for _, imported := range p.Imports {
			for mod, allowed := range onlyImporters {
				if strings.HasPrefix(imported, mod) && !slices.Contains(allowed, p.ImportPath) {
					t.Errorf("%s imports %s, which only %v may", p.ImportPath, imported, allowed)
				}
			}
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, p := range list(t) {
		for top, banned := range forbidden {
			if !within(p.ImportPath, top) {
				continue
			}
			for _, dep := range p.Deps {
				for _, b := range banned {
					if strings.HasPrefix(dep, module+"/") && within(own(dep), b) {
						t.Errorf("%s depends on %s, which nothing in %s may", p.ImportPath, own(dep), top)
					}
				}
			}
		}
	}
}

// TestPackagesSayWhatTheyAre asks for a package comment everywhere, in doc.go but for programs.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	files := tracked(t)
	for _, p := range list(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if p.Name != "main" && !slices.Contains(files, path.Join(p.ImportPath, "doc.go")) {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}
