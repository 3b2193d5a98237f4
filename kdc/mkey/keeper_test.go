package mkey

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"krealm/dumpfmt"
)

// source is a Source in memory.
type source struct {
	mu  sync.Mutex
	ref uint64
	r   realm
}

func (s *source) Ref(name string) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.r[name]
	return s.ref, ok
}

func (s *source) Principal(name string) (*dumpfmt.Principal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.r[name]
	return p, ok
}

func (s *source) become(r realm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ref++
	s.r = r
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// openable counts the keys of a realm that a keeper opens, and those it does not.
func openable(t *testing.T, k *Keeper, r realm) (good, bad int) {
	t.Helper()
	for name, p := range r {
		if name == r.km().Name {
			continue
		}
		for i := range p.Keys {
			switch _, err := k.OpenKey(p, &p.Keys[i]); {
			case err == nil:
				good++
			case errors.Is(err, ErrSealed):
				bad++
			default:
				t.Fatal(err)
			}
		}
	}
	return good, bad
}

// TestKeeperRollover takes a keeper through MIT's rollover with nothing but the first stash file.
func TestKeeperRollover(t *testing.T) {
	const base = "testdata/mkey/1.20.1/"
	src := &source{r: loadDump(t, base+"0-before.dump")}
	stash := filepath.Join(t.TempDir(), "stash")
	copyFile(t, stash, base+"0-before.stash")
	k, err := NewKeeper(src, src.r.km().Name, stash, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"0-before", "1-added", "2-used", "3-mixed", "4-stashed", "5-reencrypted", "7-third", "8-future"} {
		r := loadDump(t, base+step+".dump")
		src.become(r)
		good, bad := openable(t, k, r)
		lost := 0
		if step >= "6" {
			lost = 2 // MIT's purge lost svc/new's
		}
		if good == 0 || bad != lost {
			t.Errorf("%s: %d keys open, %d do not, want %d", step, good, bad, lost)
		}
		if got, want := len(k.Ring().Versions()), len(r.km().Keys); got != want {
			t.Errorf("%s: %d versions in the ring, want %d", step, got, want)
		}
	}
}

// TestKeeperForeignLoad: the database is replaced by that of another master key, the stash
// file a while later.
func TestKeeperForeignLoad(t *testing.T) {
	const first, second = "testdata/mketype/1.20.1-aes128-cts-hmac-sha1-96", "testdata/mketype/1.20.1-aes256-cts-hmac-sha384-192"
	src := &source{r: loadDump(t, first+".dump")}
	stash := filepath.Join(t.TempDir(), "stash")
	copyFile(t, stash, first+".stash")
	var warned []error
	k, err := NewKeeper(src, src.r.km().Name, stash, func(err error) { warned = append(warned, err) })
	if err != nil {
		t.Fatal(err)
	}
	old := k.Ring()
	r := loadDump(t, second+".dump")
	src.become(r)
	if good, bad := openable(t, k, r); good != 0 || bad == 0 {
		t.Errorf("without the stash file %d keys open, %d do not", good, bad)
	}
	if k.Ring() != old {
		t.Error("the ring changed without opening the new K/M")
	}
	if len(warned) != 1 || !errors.Is(warned[0], ErrWrongStash) {
		t.Errorf("warned %v, want one ErrWrongStash", warned)
	}
	copyFile(t, stash, second+".stash")
	if good, bad := openable(t, k, r); good == 0 || bad != 0 {
		t.Errorf("with the stash file %d keys open, %d do not", good, bad)
	}
	if err := os.Remove(stash); err != nil {
		t.Fatal(err)
	}
	src.become(r) // K/M touched: the keys at hand open it
	if good, bad := openable(t, k, r); good == 0 || bad != 0 || len(warned) != 1 {
		t.Errorf("without a file %d keys open, %d do not, warned %v", good, bad, warned)
	}
}

// TestKeeperWithoutMaster: a load of a part of a dump took K/M away; the ring stays.
func TestKeeperWithoutMaster(t *testing.T) {
	const base = "testdata/basic/created-1.20.1"
	src := &source{r: loadDump(t, base+".dump")}
	master := src.r.km().Name
	k, err := NewKeeper(src, master, base+".stash", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := loadDump(t, base+".dump")
	keep := realm{"krbtgt": r["krbtgt/EXAMPLE.COM@EXAMPLE.COM"]}
	src.become(keep)
	p := keep["krbtgt"]
	if _, err := k.OpenKey(p, &p.Keys[0]); err != nil {
		t.Error(err)
	}
	if _, err := NewKeeper(src, master, base+".stash", nil); !errors.Is(err, ErrMaster) {
		t.Errorf("new keeper: %v, want ErrMaster", err)
	}
}

// TestKeeperConcurrent changes K/M while keys are opened; for the race detector.
func TestKeeperConcurrent(t *testing.T) {
	const base = "testdata/mkey/1.20.1/"
	before, after := loadDump(t, base+"0-before.dump"), loadDump(t, base+"5-reencrypted.dump")
	src := &source{r: before}
	k, err := NewKeeper(src, before.km().Name, base+"0-before.stash", nil)
	if err != nil {
		t.Fatal(err)
	}
	src.become(after)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, r := range []realm{before, after} {
				for _, p := range r {
					for i := range p.Keys {
						if p.Name == r.km().Name {
							continue
						}
						if _, err := k.OpenKey(p, &p.Keys[i]); err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
	}
	src.become(after)
	wg.Wait()
}

func BenchmarkKeeperOpenKey(b *testing.B) {
	const base = "testdata/mkey/1.20.1/5-reencrypted"
	r, _ := openRealm(b, base)
	k, err := NewKeeper(&source{r: r}, r.km().Name, base+".stash", nil)
	if err != nil {
		b.Fatal(err)
	}
	p := r["old1@EXAMPLE.COM"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.OpenKey(p, &p.Keys[0]); err != nil {
			b.Fatal(err)
		}
	}
}
