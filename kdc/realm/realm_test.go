package realm_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

// counting counts how often keys are opened, and fails while it is told to.
type counting struct {
	kdctest.Keys
	mu   sync.Mutex
	n    int
	fail error
}

func (c *counting) OpenKey(p *dumpfmt.Principal, k *dumpfmt.Key) (*krbcrypto.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Keys.OpenKey(p, k)
}

func world(t *testing.T) (*realm.Realm, *kdctest.Memory, *counting) {
	t.Helper()
	_, m, keys := kdctest.Realm(t, "A.TEST")
	c := &counting{Keys: keys}
	return realm.New(kdctest.Settings("A.TEST"), m, c), m, c
}

func named(t *testing.T, r *realm.Realm, name string) *realm.Entry {
	t.Helper()
	e, ok := r.Named(name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	return e
}

func open(t *testing.T, e *realm.Entry) *krbcrypto.Key {
	t.Helper()
	k, err := e.First()
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.Open()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestEntriesAreCachedUntilTheyChange: keys are opened once, and again after a change.
func TestEntriesAreCachedUntilTheyChange(t *testing.T) {
	r, m, c := world(t)
	for range 3 {
		open(t, named(t, r, "user@A.TEST"))
	}
	if c.n != 1 {
		t.Errorf("opened %d times", c.n)
	}
	m.Change(t, "user@A.TEST", func(p *dumpfmt.Principal) { p.Attributes |= dumpfmt.AttrDisallowAllTix })
	if e := named(t, r, "user@A.TEST"); !e.Has(dumpfmt.AttrDisallowAllTix) {
		t.Error("an old entry was returned")
	}
	open(t, named(t, r, "user@A.TEST"))
	if c.n != 2 {
		t.Errorf("opened %d times", c.n)
	}
	m.Delete("user@A.TEST")
	if _, ok := r.Named("user@A.TEST"); ok {
		t.Error("a deleted entry was returned")
	}
}

// TestErrorsAreNotRemembered: a master key that comes later opens the key.
func TestErrorsAreNotRemembered(t *testing.T) {
	r, _, c := world(t)
	k, err := named(t, r, "user@A.TEST").First()
	if err != nil {
		t.Fatal(err)
	}
	c.fail = errors.New("sealed")
	if _, err := k.Open(); !errors.Is(err, c.fail) {
		t.Errorf("%v", err)
	}
	c.fail = nil
	if _, err := k.Open(); err != nil {
		t.Error(err)
	}
}

func TestConcurrentLookups(t *testing.T) {
	r, m, _ := world(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				if i == 0 {
					m.Change(t, "user@A.TEST", func(p *dumpfmt.Principal) { p.MaxLife = int32(n) })
					continue
				}
				if e, ok := r.Named("user@A.TEST"); ok {
					if k, err := e.First(); err == nil {
						_, _ = k.Open()
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestCacheIsBounded: a walk over more names than are kept does not keep them all.
func TestCacheIsBounded(t *testing.T) {
	r, m, _ := world(t)
	for i := range 20000 {
		name := fmt.Sprintf("n%d@A.TEST", i)
		m.Put(&dumpfmt.Principal{Name: name})
		named(t, r, name)
	}
	if n := r.Cached(); n > 16384 {
		t.Errorf("%d entries kept", n)
	}
}

// TestKeyOrder is section 3.2: newest version first, the entry's order within it, types that are
// not permitted invisible.
func TestKeyOrder(t *testing.T) {
	r, m, c := world(t)
	const name = "user@A.TEST"
	c.Add(t, m, name, 7, krbcrypto.ETypeAES128SHA1)
	c.Add(t, m, name, 9, krbcrypto.ETypeAES256SHA2)
	c.Add(t, m, name, 8, krbcrypto.ETypeAES256SHA1)
	c.Add(t, m, name, 9, krbcrypto.ETypeAES128SHA2)
	e := named(t, r, name)
	var got []string
	for _, k := range e.Current() {
		got = append(got, fmt.Sprint(k.Kvno, " ", int(k.Etype)))
	}
	if fmt.Sprint(got) != "[9 19 9 20]" {
		t.Errorf("current keys %v", got)
	}
	if k, err := e.FirstOf(7); err != nil || k.Etype != krbcrypto.ETypeAES128SHA1 {
		t.Errorf("%+v, %v", k, err)
	}
	for _, err := range []error{second(e.FirstOf(6)), second(e.Find(8, krbcrypto.ETypeAES128SHA1))} {
		if !errors.Is(err, realm.ErrNoKey) {
			t.Errorf("%v", err)
		}
	}
	if k := e.ClientKey([]int32{18, 20, 19}); k == nil || k.Etype != krbcrypto.ETypeAES256SHA2 {
		t.Errorf("client key %+v", k)
	}
	if e.ClientKey([]int32{17, 18}) != nil {
		t.Error("an old version serves as client key")
	}
}

func second[T any](_ T, err error) error { return err }

// TestSalts is section 4.4, with the recorded principals.
func TestSalts(t *testing.T) {
	r, _, _ := world(t)
	for name, want := range map[string]string{
		"user": "A.TESTuser", "saltnorealm": "saltnorealm", "saltonlyrealm": "A.TEST",
		"host/svc.a.test": "A.TESThostsvc.a.test",
	} {
		k, err := named(t, r, name+"@A.TEST").First()
		if err != nil || string(k.Salt) != want {
			t.Errorf("%s: salt %q, %v", name, k.Salt, err)
		}
	}
}

func TestKindsOfTGS(t *testing.T) {
	r, _, _ := world(t)
	home, out, in := named(t, r, "krbtgt/A.TEST@A.TEST"), named(t, r, "krbtgt/B.TEST@A.TEST"), named(t, r, "krbtgt/A.TEST@B.TEST")
	if !home.IsLocalTGS() || home.IsCrossTGS() || !out.IsCrossTGS() || !in.IsCrossTGS() || named(t, r, "user@A.TEST").IsTGS() {
		t.Error("TGS principals are told apart wrongly")
	}
	anonymous := named(t, r, "WELLKNOWN/ANONYMOUS@A.TEST")
	if home.CName.Type != krbmsg.NTSrvInst || anonymous.CName.Type != krbmsg.NTWellKnown || named(t, r, "host/svc.a.test@A.TEST").CName.Type != krbmsg.NTPrincipal {
		t.Errorf("name types %d, %d", home.CName.Type, anonymous.CName.Type)
	}
}

func TestWireKeys(t *testing.T) {
	s := kdctest.Settings("A.TEST")
	for _, c := range []struct {
		etype int32
		size  int
		ok    bool
	}{{18, 32, true}, {18, 31, false}, {999, 16, false}, {-1, 0, false}} {
		if _, err := s.WireKey(krbmsg.EncryptionKey{Etype: c.etype, Value: make([]byte, c.size)}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s.Permitted = []krbcrypto.Enctype{17}
	if _, err := s.WireKey(krbmsg.EncryptionKey{Etype: 18, Value: make([]byte, 32)}); !errors.Is(err, krbcrypto.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

func TestSessionEnctypes(t *testing.T) {
	s := kdctest.Settings("A.TEST")
	s.AllowRC4, s.AllowDES3 = false, false
	if s.AllowsSession(krbcrypto.ETypeRC4) || s.AllowsSession(krbcrypto.ETypeDES3) || !s.Allows(krbcrypto.ETypeRC4) || s.Allows(999) {
		t.Error("old enctypes")
	}
	s.AllowRC4, s.AllowDES3 = true, true
	if !s.AllowsSession(krbcrypto.ETypeRC4) || !s.AllowsSession(krbcrypto.ETypeDES3) {
		t.Error("old enctypes are not allowed though switched on")
	}
}
