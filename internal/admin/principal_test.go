package admin

import (
	"slices"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
)

func TestModify(t *testing.T) {
	h := newHouse(t)
	h.want("policy", h.CreatePolicy(h.ctx, "p", PolicyFields{MaxLife: ptr(uint32(1000))}), nil)
	h.want("no expiry", h.CreatePolicy(h.ctx, "n", PolicyFields{}), nil)
	h.want("create", h.create("u", "pw", Fields{}), nil)
	modify := func(f Fields) error { return h.ModifyPrincipal(h.ctx, actor, full("u"), f) }
	h.clock = h.clock.Add(time.Hour)
	for _, c := range []struct {
		name       string
		f          Fields
		wantExpire uint32
		wantPolicy string
	}{
		{"attach", Fields{Policy: ptr("p")}, startTime + 1000, "p"},
		{"date wins", Fields{Policy: ptr("p"), PwExpire: ptr(uint32(7))}, 7, "p"},
		{"policy without expiry", Fields{Policy: ptr("n")}, 0, "n"},
		{"attach again", Fields{Policy: ptr("p")}, startTime + 1000, "p"},
		{"missing policy leaves the date", Fields{Policy: ptr("none")}, startTime + 1000, "none"},
		{"clear", Fields{ClearPolicy: true, PwExpire: ptr(uint32(9))}, 0, ""},
		{"date", Fields{PwExpire: ptr(uint32(9))}, 9, ""},
		{"clear nothing", Fields{ClearPolicy: true}, 9, ""},
	} {
		h.want(c.name, modify(c.f), nil)
		p := h.get("u")
		data, err := p.KadmData()
		if err != nil || p.PwExpire != c.wantExpire || data.Policy != c.wantPolicy || (data.Aux != 0) != (c.wantPolicy != "") {
			t.Errorf("%s: expires %d, policy %q, aux %#x, %v", c.name, p.PwExpire, data.Policy, data.Aux, err)
		}
	}
	h.want("fields", modify(Fields{Expire: ptr(uint32(1)), MaxLife: ptr(int32(2)), MaxRenewLife: ptr(int32(3)),
		Attributes: ptr(uint32(4)), Kvno: ptr(uint16(5)), TL: []dumpfmt.TL{{Type: 300, Data: []byte("x")}}}), nil)
	p := h.get("u")
	if p.Expire != 1 || p.MaxLife != 2 || p.MaxRenewLife != 3 || p.Attributes != 4 || p.Keys[1].Kvno != 5 || p.LastPwdChange() != startTime {
		t.Errorf("fields: %+v", p)
	}
	if d, ok := p.FindTL(300); !ok || string(d) != "x" {
		t.Errorf("tagged data %q %v", d, ok)
	}
	if when, by, _ := p.ModPrinc(); when != startTime+3600 || by != actor {
		t.Errorf("modified %d by %s", when, by)
	}
	h.want("both", modify(Fields{Policy: ptr("p"), ClearPolicy: true}), ErrBadMask)
	h.want("count", modify(Fields{FailCount: ptr(uint32(3))}), ErrBadParams)
	h.want("tagged data", modify(Fields{TL: []dumpfmt.TL{{Type: 255}}}), ErrBadTL)
	h.want("nobody", h.ModifyPrincipal(h.ctx, actor, full("nobody"), Fields{}), ErrUnkPrinc)
	h.want("kvno of K/M", h.ModifyPrincipal(h.ctx, actor, full("K/M"), Fields{Kvno: ptr(uint16(3))}), ErrProtected)
	h.want("krbtgt", h.ModifyPrincipal(h.ctx, actor, full("krbtgt/"+testRealm), Fields{MaxLife: ptr(int32(1))}), nil)
	if got := tlTypes(h.get("krbtgt/" + testRealm)); !slices.Equal(got, []int16{3, 2}) {
		t.Errorf("krbtgt's tagged data %v", got)
	}
}

func TestUnlock(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("u", "pw", Fields{}), nil)
	h.want("lockout", h.db.SetLockout(h.ctx, full("u"), dumpfmt.Lockout{LastFailed: startTime, FailCount: 5}), nil)
	h.clock = h.clock.Add(time.Minute)
	h.want("unlock", h.ModifyPrincipal(h.ctx, actor, full("u"), Fields{Unlock: true}), nil)
	p := h.get("u")
	if p.FailCount != 0 || p.LastFailed != startTime || p.LastAdminUnlock() != startTime+60 {
		t.Errorf("unlocked: %+v, at %d", p, p.LastAdminUnlock())
	}
	if got := tlTypes(p); !slices.Equal(got, []int16{1792, 3, 2, 8, 1}) {
		t.Errorf("tagged data %v", got)
	}
}

func TestDelete(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("u", "pw", Fields{}), nil)
	h.want("delete", h.DeletePrincipal(h.ctx, full("u")), nil)
	h.want("again", h.DeletePrincipal(h.ctx, full("u")), ErrUnkPrinc)
	h.want("K/M", h.DeletePrincipal(h.ctx, full("K/M")), ErrProtected)
	if CodeOf(h.DeletePrincipal(h.ctx, full("u"))) != 43787532 {
		t.Error("number of ErrUnkPrinc")
	}
}

func TestRename(t *testing.T) {
	h := newHouse(t)
	ks, _ := realmconf.ParseKeySalts("aes256-cts:normal,aes128-cts:onlyrealm,aes256-sha2:special,aes128-sha2:norealm")
	h.want("create", h.CreatePrincipal(h.ctx, actor, full("a/b"), Fields{}, Keys{Password: []byte("pw"), KeySalts: ks}), nil)
	h.want("other", h.create("other", "pw", Fields{}), nil)
	before, err := h.ExtractKeys(h.ctx, full("a/b"), 0)
	if err != nil {
		t.Fatal(err)
	}
	serial := h.serial()
	h.want("rename", h.RenamePrincipal(h.ctx, actor, full("a/b"), full("c")), nil)
	if h.serial() != serial+1 {
		t.Errorf("%d changesets for a rename", h.serial()-serial)
	}
	p := h.get("c")
	want := []string{testRealm + "ab", testRealm, string(before[2].Salt), "ab"}
	after, err := h.ExtractKeys(h.ctx, full("c"), 0)
	if err != nil || len(after) != 4 {
		t.Fatalf("%d keys, %v", len(after), err)
	}
	for i, k := range p.Keys {
		if k.Ver != 2 || k.SaltType != int16(krbcrypto.SaltSpecial) || string(k.Salt) != want[i] {
			t.Errorf("key %d: version %d, salt %d %q, want %q", i, k.Ver, k.SaltType, k.Salt, want[i])
		}
		fromPassword, err := krbcrypto.StringToKey(krbcrypto.Enctype(k.Enctype), []byte("pw"), k.Salt, nil)
		if err != nil || !fromPassword.Equal(after[i].Key) {
			t.Errorf("key %d no longer comes from the password, %v", i, err)
		}
	}
	h.want("gone", h.RenamePrincipal(h.ctx, actor, full("a/b"), full("x")), ErrNoEntry)
	h.want("taken", h.RenamePrincipal(h.ctx, actor, full("c"), full("other")), ErrDup)
	h.want("itself", h.RenamePrincipal(h.ctx, actor, full("c"), full("c")), ErrDup)
	h.want("K/M", h.RenamePrincipal(h.ctx, actor, full("K/M"), full("x")), ErrProtected)
}

func TestPurgeKeys(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("u", "1", Fields{}), nil)
	for _, pw := range []string{"2", "3", "4"} {
		h.want(pw, h.ChangePassword(h.ctx, actor, full("u"), Keys{Password: []byte(pw), KeepOld: true}, false), nil)
	}
	purge := func(keep int32, want ...uint16) {
		t.Helper()
		h.want("purge", h.PurgeKeys(h.ctx, actor, full("u"), keep), nil)
		var got []uint16
		for _, k := range h.get("u").Keys {
			got = append(got, k.Kvno)
		}
		if !slices.Equal(got, want) {
			t.Errorf("keep %d: left %v, want %v", keep, got, want)
		}
	}
	purge(2, 4, 4, 3, 3, 2, 2)
	purge(3, 4, 4, 3, 3)
	purge(-1, 4, 4)
	purge(AllKeys)
	h.want("nobody", h.PurgeKeys(h.ctx, actor, full("nobody"), 1), ErrUnkPrinc)
	h.want("K/M", h.PurgeKeys(h.ctx, actor, full("K/M"), AllKeys), ErrProtected)
}

func TestStringAttrs(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("u", "pw", Fields{}), nil)
	set := func(k, v string) { h.want("set "+k, h.SetStringAttr(h.ctx, actor, full("u"), k, v), nil) }
	set("a", "1")
	set("b", "2")
	set("a", "3")
	got, err := h.StringAttrs(h.ctx, full("u"))
	if err != nil || !slices.Equal(got, []dumpfmt.StringAttr{{Key: "a", Value: "3"}, {Key: "b", Value: "2"}}) {
		t.Errorf("attributes %v, %v", got, err)
	}
	h.want("delete", h.DeleteStringAttr(h.ctx, actor, full("u"), "a"), nil)
	serial := h.serial()
	h.clock = h.clock.Add(time.Second)
	h.want("delete what is not there", h.DeleteStringAttr(h.ctx, actor, full("u"), "a"), nil)
	if h.serial() != serial+1 {
		t.Error("deleting a missing attribute does not write the entry")
	}
	h.want("set for nobody", h.SetStringAttr(h.ctx, actor, full("nobody"), "a", "b"), ErrUnkPrinc)
	h.want("delete for nobody", h.DeleteStringAttr(h.ctx, actor, full("nobody"), "a"), ErrUnkPrinc)
	_, err = h.StringAttrs(h.ctx, full("nobody"))
	h.want("get for nobody", err, ErrUnkPrinc)
}

func TestPolicies(t *testing.T) {
	h := newHouse(t)
	n := func(v uint32) *uint32 { return &v }
	create := func(name string, f PolicyFields) error { return h.CreatePolicy(h.ctx, name, f) }
	h.want("create", create("p", PolicyFields{}), nil)
	p, err := h.Policy(h.ctx, "p")
	if err != nil || p.MinLength != 1 || p.MinClasses != 1 || p.History != 1 || p.MaxLife != 0 || p.MaxFail != 0 {
		t.Errorf("defaults %+v, %v", p, err)
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"again", create("p", PolicyFields{}), ErrDup},
		{"no name", create("", PolicyFields{}), ErrBadPolicy},
		{"blank", create("a b", PolicyFields{}), ErrBadPolicy},
		{"not ASCII", create("é", PolicyFields{}), ErrBadPolicy},
		{"length", create("x", PolicyFields{MinLength: n(0)}), ErrBadLength},
		{"classes", create("x", PolicyFields{MinClasses: n(6)}), ErrBadClass},
		{"no classes", create("x", PolicyFields{MinClasses: n(0)}), ErrBadClass},
		{"history", create("x", PolicyFields{History: n(0)}), ErrBadHistory},
		{"negative history", create("x", PolicyFields{History: n(1 << 31)}), ErrBadHistory},
		{"lives", create("x", PolicyFields{MaxLife: n(1), MinLife: n(2)}), ErrBadMinLife},
		{"minimum only", create("min", PolicyFields{MinLife: n(2)}), nil},
		{"tab", create("x", PolicyFields{KeySalts: ptr("a\tb")}), ErrBadKeySalts},
		{"modify", h.ModifyPolicy(h.ctx, "p", PolicyFields{MaxLife: n(10), MinLife: n(5), KeySalts: ptr("aes256-cts aes128-cts,,x")}), nil},
		{"maximum below minimum", h.ModifyPolicy(h.ctx, "p", PolicyFields{MaxLife: n(1)}), nil},
		{"minimum above maximum", h.ModifyPolicy(h.ctx, "p", PolicyFields{MinLife: n(5)}), ErrBadMinLife},
		{"modify nothing", h.ModifyPolicy(h.ctx, "none", PolicyFields{}), ErrUnkPolicy},
		{"delete nothing", h.DeletePolicy(h.ctx, "none"), ErrUnkPolicy},
		{"delete", h.DeletePolicy(h.ctx, "min"), nil},
	} {
		h.want(c.name, c.err, c.want)
	}
	if p, err := h.Policy(h.ctx, "p"); err != nil || p.KeySalts != "aes256-cts,aes128-cts,x" || p.MaxLife != 1 || p.MinLife != 5 {
		t.Errorf("modified %+v, %v", p, err)
	}
	h.want("any key types", h.ModifyPolicy(h.ctx, "p", PolicyFields{KeySalts: ptr("-")}), nil)
	if p, err := h.Policy(h.ctx, "p"); err != nil || p.KeySalts != "" {
		t.Errorf("key types %q, %v", p.KeySalts, err)
	}
	_, err = h.Policy(h.ctx, "min")
	h.want("deleted", err, ErrUnkPolicy)
}

func TestLists(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"ab", "a/b", "b"} {
		h.want(name, h.CreatePrincipal(h.ctx, actor, full(name), Fields{}, Keys{None: true}), nil)
	}
	h.want("policy", h.CreatePolicy(h.ctx, "pa", PolicyFields{}), nil)
	h.want("policy", h.CreatePolicy(h.ctx, "qa", PolicyFields{}), nil)
	list := func(f func() ([]string, error)) []string {
		t.Helper()
		names, err := f()
		if err != nil {
			t.Error(err)
		}
		return names
	}
	principals := func(pattern string) []string {
		return list(func() (out []string, err error) {
			seq, err := h.ListPrincipals(h.ctx, pattern)
			if err != nil {
				return nil, err
			}
			for name, err := range seq {
				if err != nil {
					return nil, err
				}
				out = append(out, name)
			}
			return out, nil
		})
	}
	if got := principals("a*"); !slices.Equal(got, []string{full("a/b"), full("ab")}) {
		t.Errorf("a*: %q", got)
	}
	if got := principals(""); len(got) != 7 {
		t.Errorf("all: %q", got)
	}
	seq, err := h.ListPolicies(h.ctx, "p?")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range seq {
		if name != "pa" || err != nil {
			t.Errorf("p?: %q, %v", name, err)
		}
	}
	if _, err := h.ListPolicies(h.ctx, "["); CodeOf(err) != 22 {
		t.Errorf("bad pattern: %v", err)
	}
}
