package kdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"krealm/dumpfmt"
)

// Real dumps come back byte for byte, in their own version.
func TestLoadDumpFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.dump")
	if err != nil || len(files) < 15 {
		t.Fatal(len(files), err)
	}
	versions := map[string]dumpfmt.Version{"v4": 4, "v5": 5, "v6": 6}
	for _, file := range files {
		base := filepath.Base(file)
		if strings.Contains(base, "unloadable") || strings.Contains(base, "leadspace-broken.") {
			continue // see TestLoadOddFixtures
		}
		t.Run(base, func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o := DumpOptions{}
			if _, v, ok := strings.Cut(base, "-"); ok {
				o.Version = versions[v[:2]]
			}
			db := newMaster(t, Options{})
			before := stateOf(t, db)
			res := load(t, db, want, LoadOptions{})
			verify(t, db)
			if res.State.Epoch == before.Epoch || res.State.Serial != 0 || res.State != stateOf(t, db) {
				t.Errorf("state %v after %v", res.State, before)
			}
			if n := bytes.Count(want, []byte("\n")) - 1; res.Principals+res.Policies != n {
				t.Errorf("loaded %d and %d of %d records", res.Principals, res.Policies, n)
			}
			got := dump(t, db, o)
			if base == "all-fields.dump" { // hand-made, not in order
				slices.Sort(lines(want)[1:])
				if !bytes.Equal(sorted(got), sorted(want)) {
					t.Error("other lines than in the file")
				}
				return
			}
			diff(t, got, want)
		})
	}
}

func sorted(dump []byte) []byte {
	l := lines(dump)
	slices.Sort(l)
	return []byte(strings.Join(l, ""))
}

// What MIT's own loader breaks or refuses: a name with a leading blank is kept, white space where
// it cuts a policy line is refused.
func TestLoadOddFixtures(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, readFile(t, "names", "leadspace-broken.dump"), LoadOptions{})
	if _, err := db.Principal(t.Context(), " leadspace@EXAMPLE.COM"); err != nil {
		t.Error(err)
	}
	before := dump(t, db, DumpOptions{})
	for _, name := range []string{"name-space-unloadable.dump", "keysalts-space-unloadable.dump"} {
		var syntax *dumpfmt.SyntaxError
		_, err := db.Load(t.Context(), bytes.NewReader(readFile(t, "policies", name)), LoadOptions{})
		if !errors.As(err, &syntax) || syntax.Line < 2 || syntax.Field == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	diff(t, dump(t, db, DumpOptions{}), before)
	verify(t, db)
}

// A dump that is damaged anywhere, cut short in a line or not readable to its end leaves the
// database, its epoch and its delta file as they were.
func TestLoadDamaged(t *testing.T) {
	full := readFile(t, "full", "1.20.1.dump")
	big := bigDump(t, 3000)
	damage := func(b []byte, line int) []byte {
		l := lines(b)
		l[line-1] = strings.Replace(l[line-1], "\t38\t", "\t39\t", 1)
		return []byte(strings.Join(l, ""))
	}
	cases := []struct {
		name   string
		in     io.Reader
		syntax bool
		line   int
	}{
		{"line in the middle", bytes.NewReader(damage(big, 1700)), true, 1700},
		{"first line", bytes.NewReader(damage(big, 2)), true, 2},
		{"last line", bytes.NewReader(damage(big, 3001)), true, 3001},
		{"header", strings.NewReader("kdb5_util load_dump version 7 \n"), true, 1},
		{"empty", strings.NewReader(""), true, 1},
		{"cut in a line", bytes.NewReader(big[:len(big)-100]), true, 3001},
		{"no last line feed", bytes.NewReader(big[:len(big)-1]), true, 3001},
		{"unknown record", strings.NewReader(string(big) + "frob\tx\n"), true, 3002},
		{"reader fails", io.MultiReader(bytes.NewReader(big), iotest.ErrReader(errors.New("cable cut"))), false, 0},
	}
	for _, update := range []bool{false, true} {
		db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
		load(t, db, full, LoadOptions{})
		put(t, db, princ("marker", 7))
		before, st := dump(t, db, DumpOptions{}), stateOf(t, db)
		for _, c := range cases {
			if s, ok := c.in.(io.Seeker); ok {
				if _, err := s.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
			}
			_, err := db.Load(t.Context(), c.in, LoadOptions{Update: update})
			var syntax *dumpfmt.SyntaxError
			if err == nil || errors.As(err, &syntax) != c.syntax || c.syntax && syntax.Line != c.line {
				t.Errorf("%s, update %v: %v", c.name, update, err)
			}
			diff(t, dump(t, db, DumpOptions{}), before)
			if got := stateOf(t, db); got != st {
				t.Errorf("%s, update %v: state %v, want %v", c.name, update, got, st)
			}
		}
		db = reopen(t, db)
		verify(t, db)
		put(t, db, princ("after", 8))
		if got := stateOf(t, db); got.Epoch != st.Epoch || got.Serial != st.Serial+1 {
			t.Errorf("state %v after %v", got, st)
		}
	}
}

// Records may come in any order and a name may come twice: the last wins.
func TestLoadUnordered(t *testing.T) {
	want := bigDump(t, 2000)
	l := lines(want)
	l = l[:len(l)-1] // behind the last line feed
	head, body := l[0], l[1:]
	for _, name := range []string{"shuffled", "reversed", "twice", "twice in a row"} {
		t.Run(name, func(t *testing.T) {
			in := slices.Clone(body)
			switch name {
			case "shuffled":
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
			case "reversed":
				slices.Reverse(in)
			case "twice":
				old := slices.Clone(in)
				for i := range old {
					old[i] = strings.Replace(old[i], "\t86400\t", "\t1\t", 1)
				}
				in = slices.Concat([]string{"policy\tp\t0\t0\t1\t1\t1\t0\t0\t0\t0\t0\t0\t0\t-\t0\n"}, old, in, []string{"policy\tp\t0\t0\t2\t1\t1\t0\t0\t0\t0\t0\t0\t0\t-\t0\n"})
			case "twice in a row":
				in = slices.Insert(in, 10, strings.Replace(in[10], "\t86400\t", "\t1\t", 1))
			}
			db := newMaster(t, Options{})
			load(t, db, []byte(head+strings.Join(in, "")), LoadOptions{})
			verify(t, db)
			diff(t, dump(t, db, DumpOptions{NoPolicies: true}), want)
			if name == "twice" {
				p, err := db.Policy(t.Context(), "p")
				if err != nil || p.MinLength != 2 {
					t.Error(p, err)
				}
			}
			if n, _, err := db.Count(t.Context()); n != 2000 || err != nil {
				t.Error(n, err)
			}
		})
	}
}

// load -update replaces whole entries, lockout fields included, deletes nothing, and makes a
// changeset for each record that changes something.
func TestLoadUpdate(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	load(t, db, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	st := stateOf(t, db)
	p := princ("new", 1)
	p.FailCount, p.LastFailed = 3, 1_700_000_000
	var b bytes.Buffer
	w, _ := dumpfmt.NewWriter(&b, dumpfmt.Current)
	for _, rec := range []dumpfmt.Record{p, princ("new2", 2), policy("newpol", 3)} {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var seen []int
	res := load(t, db, b.Bytes(), LoadOptions{Update: true, Progress: func(n int) { seen = append(seen, n) }})
	if res.Principals != 2 || res.Policies != 1 || res.State.Epoch != st.Epoch || res.State.Serial != st.Serial+3 {
		t.Errorf("%+v after %v", res, st)
	}
	if !slices.Equal(seen, []int{3}) {
		t.Error("progress", seen)
	}
	css, err := db.Changes(t.Context(), st.Serial, 100)
	if err != nil || len(css) != 3 {
		t.Fatal(len(css), err)
	}
	if want := lines(b.Bytes())[1]; string(css[0].Lines) != want {
		t.Errorf("first change %q, want %q", css[0].Lines, want)
	}
	// The same once more, but for a lockout field: no change.
	again := bytes.Replace(b.Bytes(), []byte("\t1700000000\t3\t"), []byte("\t1700000000\t4\t"), 1)
	if res := load(t, db, again, LoadOptions{Update: true}); res.State.Serial != st.Serial+3 {
		t.Errorf("serial %d after a load without a difference", res.State.Serial)
	}
	got, err := db.Principal(t.Context(), p.Name)
	if err != nil || got.FailCount != 4 || got.LastFailed != 1_700_000_000 {
		t.Error(got, err)
	}
	verify(t, db)
}

func TestLoadProgress(t *testing.T) {
	db := newMaster(t, Options{})
	last := 0
	load(t, db, bigDump(t, 5000), LoadOptions{Progress: func(n int) {
		if n <= last {
			t.Errorf("progress %d after %d", n, last)
		}
		last = n
	}})
	if last != 5000 {
		t.Error("last progress", last)
	}
}

func TestDumpOptions(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, readFile(t, "full", "1.23pre.dump"), LoadOptions{})
	all := lines(dump(t, db, DumpOptions{}))
	i := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, "policy\t") })
	princs := all[1:i]

	iprop := lines(dump(t, db, DumpOptions{Version: dumpfmt.Ipropx}))
	if state, err := db.State(t.Context()); err != nil || iprop[0] != fmt.Sprintf("ipropx 1 %d %d %d\n", state.Serial, state.Sec, state.Usec) {
		t.Errorf("first line of an iprop dump: %q, state %v, %v", iprop[0], state, err)
	}
	for n, l := range iprop[1:] { // the same lines, with the counters of logins 0
		want := []byte(all[n+1])
		if stripped, _, err := dumpfmt.SplitLockout(nil, want); err == nil {
			want = stripped
		}
		if l != string(want) {
			t.Fatalf("line %d of an iprop dump: %.80q, want %.80q", n+2, l, want)
		}
	}

	rev := lines(dump(t, db, DumpOptions{Reverse: true}))
	slices.Reverse(princs)
	if want := slices.Concat(all[:1], princs, all[i:]); !slices.Equal(rev, want) {
		t.Error("reversed dump")
	}
	got := lines(dump(t, db, DumpOptions{NoPolicies: true, Match: func(n string) bool { return strings.HasPrefix(n, "kadmin/") }}))
	for _, l := range got[1 : len(got)-1] {
		if !strings.Contains(l, "\tkadmin/") {
			t.Errorf("dumped %q", l)
		}
	}
	if len(got) < 4 {
		t.Errorf("%d lines", len(got))
	}
	if _, err := db.Dump(t.Context(), io.Discard, DumpOptions{Version: 3}); err == nil {
		t.Error("version 3 dumped")
	}
	boom := errors.New("pipe gone")
	if _, err := db.Dump(t.Context(), failingWriter{boom}, DumpOptions{}); !errors.Is(err, boom) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A larger file than any batch, with lines of very different lengths.
func TestLoadLongLines(t *testing.T) {
	var b bytes.Buffer
	w, _ := dumpfmt.NewWriter(&b, dumpfmt.Current)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		p := princ(fmt.Sprintf("u%05d", i), uint32(i+1))
		for range max(0, rng.IntN(40)-30) {
			p.TL = append(p.TL, dumpfmt.TL{Type: 300, Data: make([]byte, rng.IntN(65535))})
		}
		if i%7 == 0 {
			p.SetLockout(dumpfmt.Lockout{LastSuccess: rng.Uint32(), LastFailed: rng.Uint32(), FailCount: rng.Uint32()})
		}
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	db := newMaster(t, Options{})
	load(t, db, b.Bytes(), LoadOptions{})
	verify(t, db)
	diff(t, dump(t, db, DumpOptions{}), b.Bytes())
}
