package kdctest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
)

// Memory is a realm database in memory. It is safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	refs     map[string]uint64
	next     uint64
	entries  map[string]*dumpfmt.Principal
	policies map[string]*dumpfmt.Policy
}

// Load returns the entries of a dump file.
func Load(tb testing.TB, dump []byte) *Memory {
	tb.Helper()
	m := &Memory{refs: map[string]uint64{}, entries: map[string]*dumpfmt.Principal{}, policies: map[string]*dumpfmt.Policy{}}
	r, err := dumpfmt.NewReader(bytes.NewReader(dump))
	if err != nil {
		tb.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			tb.Fatal(err)
		}
		switch rec := rec.(type) {
		case *dumpfmt.Principal:
			m.Put(rec)
		case *dumpfmt.Policy:
			m.policies[rec.Name] = rec
		}
	}
}

// Put adds or replaces an entry.
func (m *Memory) Put(p *dumpfmt.Principal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	m.refs[p.Name], m.entries[p.Name] = m.next, p
}

// PutPolicy adds or replaces a policy.
func (m *Memory) PutPolicy(p *dumpfmt.Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.policies[p.Name] = p
}

// Delete removes an entry.
func (m *Memory) Delete(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.refs, name)
	delete(m.entries, name)
}

// Change replaces an entry by a changed copy.
func (m *Memory) Change(tb testing.TB, name string, change func(p *dumpfmt.Principal)) {
	tb.Helper()
	p, ok := m.Principal(name)
	if !ok {
		tb.Fatalf("no %s", name)
	}
	p = p.Clone()
	change(p)
	m.Put(p)
}

// Ref implements realm.Database.
func (m *Memory) Ref(name string) (uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ref, ok := m.refs[name]
	return ref, ok
}

// Principal implements realm.Database.
func (m *Memory) Principal(name string) (*dumpfmt.Principal, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.entries[name]
	return p, ok
}

// Policy implements realm.Database.
func (m *Memory) Policy(name string) (*dumpfmt.Policy, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[name]
	return p, ok
}

// Lockout implements realm.Database.
func (m *Memory) Lockout(name string) (dumpfmt.Lockout, bool) {
	p, ok := m.Principal(name)
	if !ok {
		return dumpfmt.Lockout{}, false
	}
	return p.Lockout(), true
}

// SetLockout changes the lockout fields of an entry in memory, as kdb.View does.
func (m *Memory) SetLockout(name string, l dumpfmt.Lockout) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.entries[name]
	if ok {
		p = p.Clone()
		p.SetLockout(l)
		m.entries[name] = p
	}
	return ok
}

// Keys opens keys by looking them up in the published list instead of decrypting them. It
// also opens what Seal made.
type Keys map[string]*krbcrypto.Key

// PublishedKeys returns the long-term keys of all recorded realms.
func PublishedKeys(tb testing.TB) Keys {
	tb.Helper()
	out := Keys{}
	for _, k := range kdcfixture.LongTermKeys(tb) {
		key, err := krbcrypto.NewKey(krbcrypto.Enctype(k.Etype), k.Bytes)
		if err != nil {
			continue // an enctype that is not supported yet
		}
		out[id(k.Principal, uint16(k.Kvno), int16(k.Etype))] = key
	}
	return out
}

func id(name string, kvno uint16, etype int16) string { return fmt.Sprint(name, " ", kvno, " ", etype) }

// OpenKey implements realm.KeyOpener.
func (k Keys) OpenKey(p *dumpfmt.Principal, dk *dumpfmt.Key) (*krbcrypto.Key, error) {
	if key, ok := k[id(p.Name, dk.Kvno, dk.Enctype)]; ok {
		return key, nil
	}
	return nil, errors.New("key not published")
}

// Add gives an entry a new random key in front of its others.
func (k Keys) Add(tb testing.TB, m *Memory, name string, kvno uint16, e krbcrypto.Enctype) *krbcrypto.Key {
	tb.Helper()
	key, err := krbcrypto.RandomKey(e)
	if err != nil {
		tb.Fatal(err)
	}
	k[id(name, kvno, int16(e))] = key
	m.Change(tb, name, func(p *dumpfmt.Principal) {
		p.Keys = append([]dumpfmt.Key{{Ver: 1, Kvno: kvno, Enctype: int16(e), Sealed: []byte{0}}}, p.Keys...)
	})
	return key
}

// Settings are those of the recorded KDCs.
func Settings(name string) realm.Settings {
	return realm.Settings{
		Name:             name,
		ClockSkew:        300,
		MaxLife:          24 * 3600,
		MaxRenewLife:     7 * 24 * 3600,
		Permitted:        krbcrypto.DefaultEnctypes(),
		AllowRC4:         true,
		RejectBadTransit: true,
	}
}

// Realm returns a recorded realm, "A.TEST" or "B.TEST", with its database and keys.
func Realm(tb testing.TB, name string) (*realm.Realm, *Memory, Keys) {
	tb.Helper()
	m := Load(tb, kdcfixture.File(tb, "realm-"+name[:1]+".dump"))
	keys := PublishedKeys(tb)
	return realm.New(Settings(name), m, keys), m, keys
}
