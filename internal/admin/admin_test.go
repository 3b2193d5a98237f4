package admin

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

const (
	testRealm = "EXAMPLE.ORG"
	actor     = "tester/admin@EXAMPLE.ORG"
	startTime = 1_800_000_000
)

// house is a realm in a temporary directory with a clock that the test moves.
type house struct {
	*Admin
	t      *testing.T
	ctx    context.Context
	db     *kdb.DB
	conf   *realmconf.Realm
	clock  time.Time
	master *krbcrypto.Key
	warned []string
}

func newHouse(t *testing.T, change ...func(*realmconf.Realm)) *house {
	t.Helper()
	h := &house{t: t, ctx: t.Context(), clock: time.Unix(startTime, 0)}
	h.conf = testConf()
	for _, c := range change {
		c(h.conf)
	}
	o := Options{Clock: func() time.Time { return h.clock }, Warn: func(s string) { h.warned = append(h.warned, s) }}
	var err error
	if h.db, err = kdb.Create(h.ctx, filepath.Join(t.TempDir(), "principal.sqlite"), testRealm, kdb.Options{Clock: o.Clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	if h.master, err = krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1); err != nil {
		t.Fatal(err)
	}
	if err := Bootstrap(h.ctx, h.db, h.conf, 1, h.master, o); err != nil {
		t.Fatal(err)
	}
	open := func(km *dumpfmt.Principal) (*mkey.Ring, error) { return mkey.Open(firstStash(h.master), km) }
	if h.Admin, err = New(h.ctx, h.db, h.conf, open, o); err != nil {
		t.Fatal(err)
	}
	return h
}

func testConf() *realmconf.Realm {
	return &realmconf.Realm{
		Name: testRealm, MasterKeyName: "K/M", MasterPrincipal: "K/M@" + testRealm,
		MaxLife: 24 * time.Hour,
		SupportedEnctypes: []realmconf.KeySalt{
			{Enctype: krbcrypto.ETypeAES256SHA1}, {Enctype: krbcrypto.ETypeAES128SHA1},
		},
	}
}

// firstStash is the stash file of a new realm.
func firstStash(k *krbcrypto.Key) *mkey.Stash {
	return &mkey.Stash{Master: "K/M@" + testRealm, Keys: []mkey.StashKey{{Kvno: 1, Key: k}}}
}

func full(name string) string { return name + "@" + testRealm }

// get returns an entry that must exist.
func (h *house) get(name string) *dumpfmt.Principal {
	h.t.Helper()
	p, err := h.Principal(h.ctx, full(name))
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return p
}

func (h *house) serial() uint64 {
	h.t.Helper()
	st, err := h.db.State(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return st.Serial
}

// want fails the test unless err is what was wanted; nil wants none.
func (h *house) want(what string, err, want error) {
	h.t.Helper()
	if !errors.Is(err, want) || (want == nil && err != nil) {
		h.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func (h *house) create(name, password string, f Fields) error {
	return h.CreatePrincipal(h.ctx, actor, full(name), f, Keys{Password: []byte(password)})
}

func (h *house) cpw(name, password string) error {
	return h.ChangePassword(h.ctx, actor, full(name), Keys{Password: []byte(password)}, false)
}

func ptr[T any](v T) *T { return &v }

func tlTypes(p *dumpfmt.Principal) []int16 {
	var out []int16
	for _, tl := range p.TL {
		out = append(out, tl.Type)
	}
	return out
}

func TestBootstrap(t *testing.T) {
	h := newHouse(t, func(r *realmconf.Realm) { r.DefaultFlags = dumpfmt.AttrRequiresPreAuth })
	for _, c := range []struct {
		name  string
		attrs uint32
		life  int32
		types []int16
		keys  int
		by    string
	}{
		{"K/M", 0x8000c0, 86400, []int16{8, 9, 2}, 1, "db_creation"},
		{"krbtgt/" + testRealm, 0x800080, 86400, []int16{2}, 2, "db_creation"},
		{"kadmin/admin", 0x800004, 10800, []int16{3, 2, 8, 1}, 2, "kdb5_util"},
		{"kadmin/changepw", 0x802004, 300, []int16{3, 2, 8, 1}, 2, "kdb5_util"},
	} {
		p := h.get(c.name)
		if _, by, _ := p.ModPrinc(); by != full(c.by) {
			t.Errorf("%s modified by %s, want %s", c.name, by, c.by)
		}
		if p.Attributes != c.attrs || p.MaxLife != c.life || !slices.Equal(tlTypes(p), c.types) || len(p.Keys) != c.keys {
			t.Errorf("%s: attributes %#x, life %d, types %v, %d keys; want %+v", c.name, p.Attributes, p.MaxLife, tlTypes(p), len(p.Keys), c)
		}
	}
	if n := h.serial(); n != 1 {
		t.Errorf("%d changesets for a new database, want 1", n)
	}
}

func TestCreate(t *testing.T) {
	h := newHouse(t, func(r *realmconf.Realm) {
		r.DefaultFlags, r.DefaultExpire, r.NewMaxRenewLife = dumpfmt.AttrRequiresPreAuth, 1_900_000_000, time.Hour
	})
	h.want("create", h.create("alice", "pw", Fields{}), nil)
	p := h.get("alice")
	if p.Attributes != dumpfmt.AttrRequiresPreAuth || p.Expire != 1_900_000_000 || p.MaxLife != 86400 || p.MaxRenewLife != 3600 {
		t.Errorf("defaults: %+v", p)
	}
	if !slices.Equal(tlTypes(p), []int16{3, 2, 8, 1}) || p.LastPwdChange() != startTime || p.PwExpire != 0 {
		t.Errorf("types %v, last change %d, password expires %d", tlTypes(p), p.LastPwdChange(), p.PwExpire)
	}
	when, by, ok := p.ModPrinc()
	if when != startTime || by != actor || !ok {
		t.Errorf("modified %d by %s", when, by)
	}
	keys, err := h.ExtractKeys(h.ctx, full("alice"), 0)
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	wantKey, err := krbcrypto.StringToKey(krbcrypto.ETypeAES256SHA1, []byte("pw"), []byte(testRealm+"alice"), nil)
	if err != nil || !keys[0].Key.Equal(wantKey) || keys[0].Kvno != 1 {
		t.Errorf("key of kvno %d is not that of the password", keys[0].Kvno)
	}
	h.want("again", h.create("alice", "pw", Fields{}), ErrDup)
	h.want("both", h.create("x", "pw", Fields{Policy: ptr("p"), ClearPolicy: true}), ErrBadMask)
	h.want("unlock", h.create("x", "pw", Fields{Unlock: true}), ErrBadMask)
	h.want("empty", h.create("x", "", Fields{}), ErrTooShort)
	h.want("low TL", h.create("x", "pw", Fields{TL: []dumpfmt.TL{{Type: 8, Data: []byte("x")}}}), ErrBadTL)
	h.want("zero byte", h.create("x", "a\x00b", Fields{}), errZeroPassword)
	h.want("random", h.CreatePrincipal(h.ctx, actor, full("rnd"), Fields{Kvno: ptr(uint16(7))}, Keys{}), nil)
	if r := h.get("rnd"); len(r.Keys) != 2 || r.Keys[0].Kvno != 7 || r.Keys[0].Ver != 1 {
		t.Errorf("random: %+v", r.Keys)
	}
	h.want("no keys", h.CreatePrincipal(h.ctx, actor, full("none"), Fields{}, Keys{None: true}), nil)
	if n := h.get("none"); len(n.Keys) != 0 || !slices.Equal(tlTypes(n), []int16{3, 2, 8, 1}) {
		t.Errorf("no keys: %d keys, types %v", len(n.Keys), tlTypes(n))
	}
	if n := h.serial(); n != 4 {
		t.Errorf("%d changesets after three principals, want 4", n)
	}
}

func TestKeySalts(t *testing.T) {
	h := newHouse(t)
	ks, unknown := realmconf.ParseKeySalts("aes256-cts:special,aes256-cts:normal aes128-cts:onlyrealm,aes128-cts:norealm bogus")
	if len(ks) != 4 || len(unknown) != 1 {
		t.Fatalf("list %v, unknown %v", ks, unknown)
	}
	h.want("create", h.CreatePrincipal(h.ctx, actor, full("u/v"), Fields{}, Keys{Password: []byte("pw"), KeySalts: ks}), nil)
	p := h.get("u/v")
	salts := []string{string(p.Keys[0].Salt), "", testRealm, "uv"}
	for i, k := range p.Keys {
		ver := int16(2)
		if i == 1 {
			ver = 1
		}
		if k.Ver != ver || string(k.Salt) != salts[i] || k.SaltType != int16(ks[i].Salt) {
			t.Errorf("key %d: version %d, salt %d %q", i, k.Ver, k.SaltType, k.Salt)
		}
	}
	if len(salts[0]) != 16 {
		t.Errorf("special salt %q", salts[0])
	}
	if _, err := h.RandomizeKeys(h.ctx, actor, full("u/v"), Keys{KeySalts: ks}, false); err != nil {
		t.Fatal(err)
	}
	if p := h.get("u/v"); len(p.Keys) != 2 || p.Keys[0].Ver != 1 || p.Keys[0].Kvno != 2 {
		t.Errorf("random keys: %+v", p.Keys)
	}
	h.want("policy", h.CreatePolicy(h.ctx, "ks", PolicyFields{KeySalts: ptr("aes128-cts:normal, aes256-cts:special")}), nil)
	only := func(list string) Keys {
		ks, _ := realmconf.ParseKeySalts(list)
		return Keys{Password: []byte("pw"), KeySalts: ks}
	}
	pol := Fields{Policy: ptr("ks")}
	h.want("forbidden", h.CreatePrincipal(h.ctx, actor, full("k"), pol, only("aes256-cts:normal")), ErrBadKeySalts)
	h.want("allowed", h.CreatePrincipal(h.ctx, actor, full("k"), pol, only("aes256-cts:special,aes128-cts:normal")), nil)
	if p := h.get("k"); p.Keys[0].Enctype != 17 || p.Keys[1].Enctype != 18 {
		t.Errorf("keys are not in the policy's order: %+v", p.Keys)
	}
	h.want("unknown", h.CreatePolicy(h.ctx, "none", PolicyFields{KeySalts: ptr("foo")}), nil)
	h.want("nothing left", h.create("z", "pw", Fields{Policy: ptr("none")}), ErrBadKeySalts)
}
