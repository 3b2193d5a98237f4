package largerealm

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

func dump(t testing.TB, o Options) (*Realm, []byte) {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteDump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return r, b.Bytes()
}

func records(t testing.TB, b []byte) (ps []*dumpfmt.Principal, policies []*dumpfmt.Policy) {
	t.Helper()
	in, err := dumpfmt.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return ps, policies
		}
		if err != nil {
			t.Fatal(err)
		}
		switch rec := rec.(type) {
		case *dumpfmt.Principal:
			ps = append(ps, rec)
		case *dumpfmt.Policy:
			policies = append(policies, rec)
		}
	}
}

func names(ps []*dumpfmt.Principal) []string {
	var list []string
	for _, p := range ps {
		list = append(list, p.Name)
	}
	return list
}

func TestNamesAreDistinctAndInOrder(t *testing.T) {
	for _, n := range []int{5, 6, 7, 25, 26, 30, 257, 1000, 9_999} {
		_, b := dump(t, Options{N: n})
		ps, policies := records(t, b)
		list := names(ps)
		if len(list) != n || len(policies) != 8 {
			t.Errorf("n=%d: %d principals, %d policies", n, len(list), len(policies))
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(list))); !slices.Equal(list, sorted) {
			t.Errorf("n=%d: names repeat or are out of order", n)
		}
	}
}

// TestNamesOfTheLargest looks at the ends of each section of realms as large as they get.
func TestNamesOfTheLargest(t *testing.T) {
	r, err := New(Options{N: maxEntries})
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, s := range r.sections {
		for _, i := range []int{0, 1, 2, s.count/2 - 1, s.count / 2, s.count - 2, s.count - 1} {
			if i < 0 || i >= s.count {
				continue
			}
			name := r.name(s, i) + "@" + r.o.Realm
			if name < last {
				t.Errorf("entry %d of kind %d: %q after %q", i, s.kind, name, last)
			}
			last = name
		}
	}
}

func TestSameOptionsSameBytes(t *testing.T) {
	_, one := dump(t, Options{N: 3000, Seed: 7})
	procs := runtime.GOMAXPROCS(1)
	_, two := dump(t, Options{N: 3000, Seed: 7})
	runtime.GOMAXPROCS(procs)
	if !bytes.Equal(one, two) {
		t.Error("the same seed gave another realm")
	}
	if _, other := dump(t, Options{N: 3000, Seed: 8}); bytes.Equal(one, other) {
		t.Error("another seed gave the same realm")
	}
}

func TestShuffleKeepsTheEntries(t *testing.T) {
	for _, n := range []int{5, 100, 1024} {
		_, proper := dump(t, Options{N: n})
		_, shuffled := dump(t, Options{N: n, Shuffle: true})
		if bytes.Equal(proper, shuffled) {
			t.Errorf("n=%d: not shuffled", n)
		}
		a, b := bytes.SplitAfter(proper, []byte("\n")), bytes.SplitAfter(shuffled, []byte("\n"))
		slices.SortFunc(a, bytes.Compare)
		slices.SortFunc(b, bytes.Compare)
		if !slices.EqualFunc(a, b, bytes.Equal) {
			t.Errorf("n=%d: shuffled, the realm has other entries", n)
		}
	}
}

func TestEveryKeyOpens(t *testing.T) {
	r, b := dump(t, Options{N: 2000, KnownEvery: 100})
	path := t.TempDir() + "/stash"
	if err := r.WriteStash(path); err != nil {
		t.Fatal(err)
	}
	stash, err := mkey.ReadStash(path, "EXAMPLE.COM")
	if err != nil {
		t.Fatal(err)
	}
	ps, _ := records(t, b)
	byName := make(map[string]*dumpfmt.Principal)
	for _, p := range ps {
		byName[p.Name] = p
	}
	ring, err := mkey.Open(stash, byName["K/M@EXAMPLE.COM"])
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) []*krbcrypto.Key {
		var list []*krbcrypto.Key
		for i := range byName[name].Keys {
			k, err := ring.OpenKey(byName[name], &byName[name].Keys[i])
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, k)
		}
		return list
	}
	seen := make(map[string]bool)
	sealed, remembered := 0, 0
	history := open("kadmin/history@EXAMPLE.COM")[0]
	for _, p := range ps {
		for i, k := range open(p.Name) {
			sealed++
			if p.Name != "K/M@EXAMPLE.COM" && seen[string(k.Bytes())] {
				t.Fatalf("%s shares a key with another entry", p.Name)
			}
			seen[string(k.Bytes())], seen[string(p.Keys[i].Sealed)] = true, true
		}
		data, err := p.KadmData()
		if err != nil {
			t.Fatal(err)
		}
		for _, past := range data.History {
			for _, k := range past {
				remembered++
				if _, err := mkey.OpenSealed(history, k.Sealed, krbcrypto.Enctype(k.Enctype)); err != nil {
					t.Fatalf("%s: history: %v", p.Name, err)
				}
			}
		}
	}
	if sealed < 2*2000 || remembered < 20 {
		t.Errorf("%d keys, %d remembered: too few to say anything", sealed, remembered)
	}
	knownPasswords(t, r, byName, ring)
}

func knownPasswords(t *testing.T, r *Realm, byName map[string]*dumpfmt.Principal, ring *mkey.Ring) {
	t.Helper()
	if r.Known() != 14 {
		t.Errorf("%d known people among 1397 and their administrators, want 14", r.Known())
	}
	for i := range r.Known() {
		name, password := r.Person(i)
		p := byName[name]
		if p == nil {
			t.Fatalf("known person %q does not exist", name)
		}
		n, err := dumpfmt.ParseName(name, "")
		if err != nil {
			t.Fatal(err)
		}
		want, err := krbcrypto.StringToKey(krbcrypto.ETypeAES256SHA1, []byte(password), []byte(n.Realm+n.Components[0]), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ring.OpenKey(p, &p.Keys[0])
		if err != nil || !got.Equal(want) {
			t.Errorf("%s does not have its known password (%v)", name, err)
		}
	}
}

func TestRefusesSizes(t *testing.T) {
	for _, n := range []int{-1, 0, 4, maxEntries + 1} {
		if _, err := New(Options{N: n}); err == nil {
			t.Errorf("n=%d accepted", n)
		}
	}
}

func BenchmarkWriteDump(b *testing.B) {
	r, err := New(Options{N: 50_000, KnownEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.WriteDump(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*50_000/b.Elapsed().Seconds(), "entries/s")
}
