package admin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/mkey"
)

func TestChangePassword(t *testing.T) {
	h := newHouse(t)
	h.want("policy", h.CreatePolicy(h.ctx, "p", PolicyFields{MaxLife: ptr(uint32(1000))}), nil)
	h.want("create", h.create("alice", "one", Fields{Attributes: ptr(dumpfmt.AttrRequiresPwChange), PwExpire: ptr(uint32(5))}), nil)
	p := h.get("alice")
	p.FailCount, p.LastFailed = 4, startTime
	h.want("lockout", h.db.SetLockout(h.ctx, p.Name, p.Lockout()), nil)
	h.clock = h.clock.Add(time.Hour)
	before := h.serial()
	h.want("change", h.cpw("alice", "two"), nil)
	p = h.get("alice")
	if p.Attributes != 0 || p.FailCount != 0 || p.LastFailed != startTime || p.PwExpire != 0 || p.LastPwdChange() != startTime+3600 {
		t.Errorf("after a change: %+v, last change %d", p, p.LastPwdChange())
	}
	if len(p.Keys) != 2 || p.Keys[0].Kvno != 2 || !slices.Equal(tlTypes(p), []int16{3, 2, 8, 1}) {
		t.Errorf("keys %+v, types %v", p.Keys, tlTypes(p))
	}
	if h.serial() != before+1 {
		t.Errorf("%d changesets for one change", h.serial()-before)
	}
	h.want("attach", h.ModifyPrincipal(h.ctx, actor, full("alice"), Fields{Policy: ptr("p")}), nil)
	before = h.serial()
	h.want("change under a policy", h.cpw("alice", "three"), nil)
	if h.serial() != before+1 {
		t.Error("the change that makes kadmin/history is not one changeset")
	}
	if p := h.get("alice"); p.PwExpire != startTime+3600+1000 {
		t.Errorf("password expires %d", p.PwExpire)
	}
	if hist := h.get("kadmin/history"); hist.Attributes != dumpfmt.AttrDisallowAllTix || len(hist.Keys) != 1 || hist.Keys[0].Kvno != 2 {
		t.Errorf("kadmin/history: %+v", hist)
	}
	h.want("keep old", h.ChangePassword(h.ctx, actor, full("alice"), Keys{Password: []byte("four"), KeepOld: true}, false), nil)
	if p := h.get("alice"); len(p.Keys) != 4 || p.Keys[0].Kvno != 4 || p.Keys[2].Kvno != 3 {
		t.Errorf("kept keys: %+v", p.Keys)
	}
	h.want("missing", h.cpw("nobody", "x"), ErrUnkPrinc)
	h.want("history principal", h.cpw("kadmin/history", "x"), ErrProtected)
	h.want("master key", h.cpw("K/M", "x"), ErrProtected)
	_, err := h.RandomizeKeys(h.ctx, actor, full("K/M"), Keys{}, false)
	h.want("master key at random", err, ErrProtected)
	_, err = h.RandomizeKeys(h.ctx, actor, full("kadmin/history"), Keys{KeepOld: true}, false)
	h.want("history principal, keep old", err, ErrProtected)
	h.want("none", h.ChangePassword(h.ctx, actor, full("alice"), Keys{}, false), errEmptyPassword)
}

func TestRandomizeKeys(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("svc", "pw", Fields{Attributes: ptr(dumpfmt.AttrRequiresPwChange)}), nil)
	keys, err := h.RandomizeKeys(h.ctx, actor, full("svc"), Keys{}, false)
	if err != nil || len(keys) != 2 || keys[0].Kvno != 2 {
		t.Fatalf("%v, %v", keys, err)
	}
	all, err := h.ExtractKeys(h.ctx, full("svc"), 0)
	if err != nil || len(all) != 2 || !all[0].Key.Equal(keys[0].Key) || !all[1].Key.Equal(keys[1].Key) {
		t.Errorf("the entry's keys are not those returned: %v, %v", all, err)
	}
	if got, err := h.ExtractKeys(h.ctx, full("svc"), 1); err != nil || len(got) != 0 {
		t.Errorf("keys of a version that is gone: %v, %v", got, err)
	}
	if h.get("svc").Attributes != 0 {
		t.Error("the demand for a change is still there")
	}
	if _, err := h.ExtractKeys(h.ctx, full("nobody"), 0); !errors.Is(err, ErrUnkPrinc) {
		t.Errorf("nobody: %v", err)
	}
}

func TestKvnoWraps(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("w", "one", Fields{Kvno: ptr(uint16(65535))}), nil)
	h.want("keep old", h.ChangePassword(h.ctx, actor, full("w"), Keys{Password: []byte("two"), KeepOld: true}, false), nil)
	p := h.get("w")
	if len(p.Keys) != 4 || p.Keys[0].Kvno != 65535 || p.Keys[2].Kvno != 1 {
		t.Errorf("after 65535: %+v", p.Keys)
	}
}

func TestQuality(t *testing.T) {
	words := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(words, []byte("secret\nPassWord\nlast"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(r *realmconf.Realm) { r.DictFile = words })
	h.want("policy", h.CreatePolicy(h.ctx, "q", PolicyFields{MinLength: ptr(uint32(4)), MinClasses: ptr(uint32(2))}), nil)
	h.want("loose policy", h.CreatePolicy(h.ctx, "loose", PolicyFields{}), nil)
	for i, c := range []struct {
		password, policy string
		want             error
	}{
		{"aB1", "q", ErrTooShort},
		{"é1a", "q", nil}, // four bytes
		{"abcd", "q", ErrClasses},
		{"abcD", "q", nil},
		{"abc!", "q", nil},
		{"abc ", "q", nil},
		{"SECRET", "loose", ErrDictionary},
		{"password", "loose", ErrDictionary},
		{"LAST", "loose", ErrDictionary},
		{"secrets", "loose", nil},
		{"secret", "", nil},
		{"example.org", "loose", ErrDictionary},
		{"HOST", "loose", errNamePassword},
		{"", "loose", ErrTooShort},
		{"", "", errEmptyPassword},
		{"x", "missing", nil},
	} {
		f := Fields{}
		if c.policy != "" {
			f.Policy = ptr(c.policy)
		}
		name := fmt.Sprintf("host/p%d", i)
		h.want(fmt.Sprintf("%q under %q", c.password, c.policy), h.create(name, c.password, f), c.want)
	}
	missing := newHouse(t, func(r *realmconf.Realm) { r.DictFile = words + ".none" })
	missing.want("policy", missing.CreatePolicy(missing.ctx, "loose", PolicyFields{}), nil)
	for _, name := range []string{"a", "b"} {
		missing.want("no dictionary", missing.create(name, "secret", Fields{Policy: ptr("loose")}), nil)
	}
	if len(missing.warned) != 1 || !strings.Contains(missing.warned[0], "dictionary") {
		t.Errorf("warnings %q, want one about the dictionary", missing.warned)
	}
}

func TestMinimumLife(t *testing.T) {
	h := newHouse(t)
	h.want("policy", h.CreatePolicy(h.ctx, "m", PolicyFields{MinLife: ptr(uint32(60))}), nil)
	h.want("create", h.create("u", "one", Fields{Policy: ptr("m")}), nil)
	self := func(pw string) error {
		return h.ChangePassword(h.ctx, full("u"), full("u"), Keys{Password: []byte(pw)}, true)
	}
	h.clock = h.clock.Add(59 * time.Second)
	h.want("own change, early", self("two"), ErrTooSoon)
	_, err := h.RandomizeKeys(h.ctx, full("u"), full("u"), Keys{}, true)
	h.want("own random keys, early", err, ErrTooSoon)
	h.want("by an administrator", h.cpw("u", "two"), nil)
	h.clock = h.clock.Add(60 * time.Second)
	h.want("own change, in time", self("three"), nil)
	h.want("demand", h.ModifyPrincipal(h.ctx, actor, full("u"), Fields{Attributes: ptr(dumpfmt.AttrRequiresPwChange)}), nil)
	h.want("own change on demand", self("four"), nil)
}

// TestHistory has, for a size of the history, the passwords set in order; "!" marks one that
// must be refused.
func TestHistory(t *testing.T) {
	for _, c := range []struct {
		size      uint32
		passwords string
	}{
		{1, "a !a b a b"},
		{2, "a !a b !a c a !c"},
		{3, "a b !a c !a !b d a !d !a !c b"},
		{5, "a b c d e !a !b f a"},
	} {
		h := newHouse(t)
		h.want("policy", h.CreatePolicy(h.ctx, "h", PolicyFields{History: ptr(c.size)}), nil)
		for i, pw := range strings.Fields(c.passwords) {
			name, refused := strings.CutPrefix(pw, "!")
			var want error
			if refused {
				want = ErrReuse
			}
			if i == 0 {
				h.want("create", h.create("u", "pass "+name, Fields{Policy: ptr("h")}), nil)
				continue
			}
			h.want(fmt.Sprintf("size %d, step %d, %s", c.size, i, pw), h.cpw("u", "pass "+name), want)
		}
	}
}

func TestHistoryShrinksAndGrows(t *testing.T) {
	h := newHouse(t)
	size := func(n uint32) {
		h.want("size", h.ModifyPolicy(h.ctx, "h", PolicyFields{History: &n}), nil)
	}
	state := func(n, next int) {
		t.Helper()
		data, err := h.get("u").KadmData()
		if err != nil || len(data.History) != n || int(data.OldKeyNext) != next {
			t.Errorf("history of %d, next %d, %v; want %d, %d", len(data.History), data.OldKeyNext, err, n, next)
		}
	}
	h.want("policy", h.CreatePolicy(h.ctx, "h", PolicyFields{History: ptr(uint32(5))}), nil)
	h.want("create", h.create("u", "a", Fields{Policy: ptr("h")}), nil)
	for _, pw := range []string{"b", "c", "d", "e", "f"} {
		h.want(pw, h.cpw("u", pw), nil)
	}
	state(4, 1) // holds e b c d, that is b is the oldest
	size(3)
	h.want("a is forgotten", h.cpw("u", "a"), nil) // keeps d e, then writes f over d
	state(2, 1)
	h.want("e", h.cpw("u", "e"), ErrReuse)
	h.want("f", h.cpw("u", "f"), ErrReuse)
	h.want("d", h.cpw("u", "d"), nil)
	size(4)
	h.want("c", h.cpw("u", "c"), nil)
	state(3, 1)
	size(1)
	h.want("f with size 1", h.cpw("u", "f"), nil)
	state(3, 1)
}

func TestHistoryKeyReplaced(t *testing.T) {
	h := newHouse(t)
	h.want("policy", h.CreatePolicy(h.ctx, "h", PolicyFields{History: ptr(uint32(4))}), nil)
	h.want("create", h.create("u", "a", Fields{Policy: ptr("h")}), nil)
	h.want("b", h.cpw("u", "b"), nil)
	h.want("a", h.cpw("u", "a"), ErrReuse)
	if _, err := h.RandomizeKeys(h.ctx, actor, full("kadmin/history"), Keys{}, false); err != nil {
		t.Fatal(err)
	}
	if n := len(h.get("kadmin/history").Keys); n != 1 {
		t.Errorf("kadmin/history has %d keys", n)
	}
	h.want("a, when the list is void", h.cpw("u", "a"), nil)
	data, err := h.get("u").KadmData()
	if err != nil || len(data.History) != 1 || data.HistKVNO != 3 {
		t.Errorf("history %d of kvno %d, %v", len(data.History), data.HistKVNO, err)
	}
}

// TestMasterKeyRolls checks that an Admin which was opened before the master key was changed
// seals with the new one.
func TestMasterKeyRolls(t *testing.T) {
	h := newHouse(t)
	next, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
	if err != nil {
		t.Fatal(err)
	}
	open := h.open
	h.open = func(km *dumpfmt.Principal) (*mkey.Ring, error) {
		if len(km.Keys) == 1 {
			return open(km)
		}
		return mkey.Open(&mkey.Stash{Master: km.Name, Keys: []mkey.StashKey{{Kvno: 2, Key: next}}}, km)
	}
	h.want("before", h.create("a", "pw", Fields{}), nil)
	err = h.update(h.ctx, actor, func(c *change) error {
		km, err := c.principal(full("K/M"))
		if err != nil {
			return err
		}
		km.Keys = []dumpfmt.Key{
			{Ver: 1, Kvno: 2, Enctype: 18, Sealed: mkey.SealUnder(next, next)},
			{Ver: 1, Kvno: 1, Enctype: 18, Sealed: mkey.SealUnder(next, h.master)},
		}
		km.SetMKVNO(2)
		km.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: 1}, {Kvno: 2, Time: c.now}})
		return c.put(km)
	})
	h.want("roll", err, nil)
	h.want("after", h.create("b", "pw", Fields{}), nil)
	if v, _ := h.get("b").MKVNO(); v != 2 {
		t.Errorf("sealed with version %d", v)
	}
	h.want("keep old", h.ChangePassword(h.ctx, actor, full("a"), Keys{Password: []byte("x"), KeepOld: true}, false), nil)
	if v, _ := h.get("a").MKVNO(); v != 2 {
		t.Errorf("old keys left with version %d", v)
	}
	if keys, err := h.ExtractKeys(h.ctx, full("a"), 0); err != nil || len(keys) != 4 {
		t.Errorf("keys of both versions: %d, %v", len(keys), err)
	}
}
