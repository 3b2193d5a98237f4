package preauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

// newContext is an AS exchange of a principal, under FAST if armored.
func newContext(t testing.TB, user string, armored bool) (*Context, *krbcrypto.Key, *kdctest.Memory) {
	t.Helper()
	r, db, _ := kdctest.Realm(t, "A.TEST")
	name := kdctest.Name("A.TEST", user)
	client, ok := r.Lookup(name.Name, name.Realm)
	tgt, ok2 := r.LocalTGT()
	if !ok || !ok2 {
		t.Fatal("no such entries")
	}
	body := kdctest.ASBody(name, "krbtgt", "A.TEST")
	c := &Context{Realm: r, Client: client, Key: client.ClientKey(body.Etypes), TGT: tgt, Body: &body,
		RawBody: krbmsg.Marshal(&body), Now: time.Unix(kdctest.At, 0)}
	if armored {
		key, err := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA2)
		if err != nil {
			t.Fatal(err)
		}
		c.Armor = key
	}
	return c, kdctest.Key(t, r, name), db
}

func wrongKey(t testing.TB, like *krbcrypto.Key) *krbcrypto.Key {
	t.Helper()
	k, err := krbcrypto.RandomKey(like.Enctype())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestVerify is sections 4.3, 4.5 and 4.6: which padata counts, in which order, with which code.
func TestVerify(t *testing.T) {
	type list = []krbmsg.PAData
	const at = kdctest.At
	pa := func(typ int32, value ...byte) krbmsg.PAData { return krbmsg.PAData{Type: typ, Value: value} }
	for _, c := range []struct {
		name    string
		armored bool
		padata  func(c *Context, key *krbcrypto.Key) list
		code    int32 // 0: none
		ok      bool
		notes   int
	}{
		{"nothing", false, func(*Context, *krbcrypto.Key) list { return nil }, 0, false, 0},
		{"unknown types", false, func(*Context, *krbcrypto.Key) list { return list{pa(-7, 1), pa(999)} }, 0, false, 0},
		{"timestamp", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Timestamp(k, at)} }, 0, true, 0},
		{"timestamp at the edge", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Timestamp(k, at-300)} }, 0, true, 0},
		{"timestamp too old", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Timestamp(k, at-301)} }, 37, false, 1},
		{"timestamp too new", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Timestamp(k, at+301)} }, 37, false, 1},
		{"timestamp, wrong key", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Timestamp(wrongKey(t, k), at)} }, 24, false, 1},
		{"timestamp, garbage", false, func(*Context, *krbcrypto.Key) list { return list{pa(2, 0x30, 0x80)} }, 24, false, 1},
		{"timestamp of an enctype that is no key's", false, func(*Context, *krbcrypto.Key) list {
			return list{pa(2, krbmsg.Marshal(krbmsg.EncryptedData{Etype: 99, Cipher: make([]byte, 60)})...)}
		}, 24, false, 1},
		{"timestamp, sealed but no timestamp", false, func(_ *Context, k *krbcrypto.Key) list {
			e := krbmsg.EncryptedData{Etype: int32(k.Enctype()), Cipher: k.Encrypt(nil, krbcrypto.UsagePAEncTS, []byte("x"))}
			return list{pa(2, krbmsg.Marshal(e)...)}
		}, 24, false, 1},
		{"one of two is enough", false, func(_ *Context, k *krbcrypto.Key) list {
			return list{kdctest.Timestamp(wrongKey(t, k), at), kdctest.Timestamp(k, at)}
		}, 0, true, 1},
		{"without e-data the last failure counts", false, func(_ *Context, k *krbcrypto.Key) list {
			return list{kdctest.Timestamp(wrongKey(t, k), at), kdctest.Timestamp(k, at-999)}
		}, 37, false, 2},
		{"at most 16 are tried", false, func(_ *Context, k *krbcrypto.Key) list {
			return append(slices.Repeat(list{pa(2, 1)}, 16), kdctest.Timestamp(k, at))
		}, 24, false, 16},
		{"challenge", true, func(c *Context, k *krbcrypto.Key) list { return list{kdctest.Challenge(t, c.Armor, k, at)} }, 0, true, 0},
		{"two challenges, one answer", true, func(c *Context, k *krbcrypto.Key) list {
			return list{kdctest.Challenge(t, c.Armor, k, at), kdctest.Challenge(t, c.Armor, k, at)}
		}, 0, true, 0},
		{"challenge, wrong key", true, func(c *Context, k *krbcrypto.Key) list {
			return list{kdctest.Challenge(t, c.Armor, wrongKey(t, k), at)}
		}, 24, false, 1},
		{"challenge, wrong armor", true, func(c *Context, k *krbcrypto.Key) list {
			return list{kdctest.Challenge(t, wrongKey(t, c.Armor), k, at)}
		}, 24, false, 1},
		{"challenge, old", true, func(c *Context, k *krbcrypto.Key) list { return list{kdctest.Challenge(t, c.Armor, k, at-301)} }, 37, false, 1},
		{"challenge, garbage", true, func(*Context, *krbcrypto.Key) list { return list{pa(138, 1, 2, 3)} }, 24, false, 1},
		{"challenge without FAST (CVE-2021-36222)", false, func(_ *Context, k *krbcrypto.Key) list { return list{kdctest.Challenge(t, k, k, at)} }, 24, false, 1},
		{"SPAKE is off", false, func(*Context, *krbcrypto.Key) list { return list{pa(151, 1)} }, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, key, _ := newContext(t, "pre", c.armored)
			res, notes, refusal := Verify(ctx, c.padata(ctx, key))
			var code int32
			if refusal != nil {
				code = refusal.Code
				if refusal.Status != statusFailed {
					t.Errorf("status %s", refusal.Status)
				}
			}
			if code != c.code || res.PreAuth != c.ok || res.HWAuth || len(notes) != c.notes {
				t.Errorf("code %d, %+v, %q", code, res, notes)
			}
			if c.ok && c.armored != (len(res.Reply) == 1) {
				t.Errorf("padata of the reply: %+v", res.Reply)
			}
		})
	}
}

// TestChallengeIsAnswered: the KDC proves that it knows the key, in a direction of its own, and
// asserts the indicator.
func TestChallengeIsAnswered(t *testing.T) {
	c, long, _ := newContext(t, "pre", true)
	c.Realm.ECIndicator = "ec"
	res, _, refusal := Verify(c, []krbmsg.PAData{kdctest.Challenge(t, c.Armor, long, kdctest.At)})
	if refusal != nil || !slices.Equal(res.Indicators, []string{"ec"}) || len(res.Reply) != 1 || res.Reply[0].Type != krbmsg.PAEncryptedChal {
		t.Fatalf("%+v, %v", res, refusal)
	}
	var ed krbmsg.EncryptedData
	if err := ed.Parse(res.Reply[0].Value); err != nil {
		t.Fatal(err)
	}
	key, err := krbcrypto.CF2(c.Armor, long, "kdcchallengearmor", "challengelongterm")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageECKDC, ed.Cipher)
	var ts krbmsg.PAEncTSEnc
	if err != nil || ts.Parse(plain) != nil || ts.Time != kdctest.At {
		t.Errorf("%+v, %v", ts, err)
	}
	// The client's own challenge sent back would prove nothing.
	if _, _, refusal := Verify(c, res.Reply); refusal == nil {
		t.Error("the KDC's answer passed for a client's challenge")
	}
}

// TestSwitchedOff: a mechanism that is off is as good as unknown.
func TestSwitchedOff(t *testing.T) {
	for _, armored := range []bool{false, true} {
		c, key, _ := newContext(t, "pre", armored)
		c.Realm.NoTimestamp, c.Realm.NoChallenge = true, true
		list := []krbmsg.PAData{kdctest.Timestamp(key, kdctest.At)}
		if armored {
			list = append(list, kdctest.Challenge(t, c.Armor, key, kdctest.At))
		}
		if res, notes, refusal := Verify(c, list); res.PreAuth || refusal != nil || notes != nil {
			t.Errorf("%+v, %v, %v", res, notes, refusal)
		}
	}
}

// TestFilter: codes that mean something to clients stay, all others become 24.
func TestFilter(t *testing.T) {
	for code := int32(0); code <= 100; code++ {
		want := int32(krbmsg.ErrPreauthFailed)
		if slices.Contains([]int32{14, 25, 31, 37, 91, 100}, code) || code >= 62 && code <= 66 || code >= 70 && code <= 81 && code != 76 {
			want = code
		}
		if got := filter(exchange.Refuse(code, "X")); got.Code != want || got.Status != statusFailed {
			t.Errorf("%d became %d %s", code, got.Code, got.Status)
		}
	}
}

// TestHints is section 4.3: the list of error 25, in MIT's order.
func TestHints(t *testing.T) {
	types := func(md krbmsg.MethodData) string {
		var s []string
		for _, p := range md {
			s = append(s, fmt.Sprint(p.Type))
		}
		return strings.Join(s, " ")
	}
	for _, c := range []struct {
		name    string
		armored bool
		change  func(c *Context)
		attrs   uint32
		want    string
	}{
		{"plain", false, nil, 0, "136 19 2 133"},
		{"FAST", true, nil, 0, "136 19 138 133"},
		{"old client", false, func(c *Context) { c.Body.Etypes = []int32{23, 16} }, 0, "136 11 19 2 133"},
		{"no key fits", false, func(c *Context) { c.Key = nil }, 0, "136 133"},
		{"no timestamps", false, func(c *Context) { c.Realm.NoTimestamp = true }, 0, "136 19 133"},
		{"no timestamps, FAST", true, func(c *Context) { c.Realm.NoTimestamp = true }, 0, "136 19 138 133"},
		{"no challenges", true, func(c *Context) { c.Realm.NoChallenge = true }, 0, "136 19 133"},
		{"hardware", false, nil, dumpfmt.AttrRequiresHWAuth, "136 19 133"},
	} {
		ctx, _, db := newContext(t, "pre", c.armored)
		if c.attrs != 0 {
			db.Change(t, "pre@A.TEST", func(p *dumpfmt.Principal) { p.Attributes |= c.attrs })
			ctx.Client = lookup(t, ctx.Realm, "pre")
		}
		if c.change != nil {
			c.change(ctx)
		}
		if got := types(Hints(ctx)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func lookup(t testing.TB, r *realm.Realm, name string) *realm.Entry {
	t.Helper()
	n := kdctest.Name("A.TEST", name)
	e, ok := r.Lookup(n.Name, n.Realm)
	if !ok {
		t.Fatal("no", name)
	}
	return e
}

// TestSaltInfo is section 4.4: one entry with the salt even where it is the default one, and the
// older forms for clients that know no other.
func TestSaltInfo(t *testing.T) {
	c, _, _ := newContext(t, "pre", false)
	got := SaltInfo([]int32{18}, c.Key)
	var info krbmsg.ETypeInfo2
	if len(got) != 1 || got[0].Type != krbmsg.PAETypeInfo2 || info.Parse(got[0].Value) != nil || len(info) != 1 ||
		info[0].Etype != int32(c.Key.Etype) || string(info[0].Salt) != "A.TESTpre" {
		t.Errorf("%+v, %+v", got, info)
	}
	if got := SaltInfo([]int32{23}, c.Key); len(got) != 3 || got[0].Type != 11 || got[1].Type != 19 || got[2].Type != 3 || string(got[2].Value) != "A.TESTpre" {
		t.Errorf("old client: %+v", got)
	}
}

// TestCookie: a cookie opens for its client, its realm's key and its time only.
func TestCookie(t *testing.T) {
	c, _, _ := newContext(t, "pre", false)
	state := krbmsg.PAData{Type: krbmsg.PASPAKE, Value: []byte("state")}
	cookie, err := c.sealCookie(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name   string
		change func(c *Context)
		ok     bool
	}{
		{"good", func(*Context) {}, true},
		{"just in time", func(c *Context) { c.Now = c.Now.Add(cookieLife * time.Second) }, true},
		{"late", func(c *Context) { c.Now = c.Now.Add((cookieLife + 1) * time.Second) }, false},
		{"another client's", func(c *Context) { b := *c.Body; b.CName = krbmsg.Some(krbmsg.NewName(1, "user")); c.Body = &b }, false},
		{"changed", func(c *Context) { c.PAData[0].Value[len(c.PAData[0].Value)-1] ^= 1 }, false},
		{"another version of the key", func(c *Context) { c.PAData[0].Value[7] ^= 1 }, false},
		{"short", func(c *Context) { c.PAData[0].Value = c.PAData[0].Value[:6] }, false},
		{"without state", func(c *Context) { c.PAData = []krbmsg.PAData{Cookie()} }, false},
		{"none", func(c *Context) { c.PAData = nil }, false},
	} {
		ctx := *c
		ctx.PAData = []krbmsg.PAData{{Type: cookie.Type, Value: slices.Clone(cookie.Value)}}
		x.change(&ctx)
		got, err := ctx.openCookie(krbmsg.PASPAKE)
		if x.ok != (err == nil) || x.ok && string(got) != "state" {
			t.Errorf("%s: %q, %v", x.name, got, err)
		}
	}
	c.PAData = []krbmsg.PAData{cookie}
	if _, err := c.openCookie(krbmsg.PAOTPRequest); err == nil {
		t.Error("opened for another mechanism")
	}
}
