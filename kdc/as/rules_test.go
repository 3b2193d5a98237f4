package as

import (
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

const (
	at  = kdctest.At
	tgt = "krbtgt/A.TEST@A.TEST"
)

// world is a realm that a case may change before its request is answered.
type world struct {
	t    *testing.T
	r    *realm.Realm
	db   *kdctest.Memory
	keys kdctest.Keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, db, keys := kdctest.Realm(t, "A.TEST")
	return &world{t, r, db, keys}
}

func (w *world) change(name string, fn func(p *dumpfmt.Principal)) {
	w.t.Helper()
	w.db.Change(w.t, name+"@A.TEST", fn)
}

func (w *world) attr(name string, bits uint32) {
	w.t.Helper()
	w.change(name, func(p *dumpfmt.Principal) { p.Attributes |= bits })
}

func (w *world) setString(name, key, value string) {
	w.t.Helper()
	w.change(name, func(p *dumpfmt.Principal) {
		if err := p.SetString(key, value); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) key(name string) *krbcrypto.Key {
	w.t.Helper()
	return kdctest.Key(w.t, w.r, kdctest.Name("A.TEST", name))
}

func client(name string) exchange.Principal { return kdctest.Name("A.TEST", name) }

// request is an AS request of a client for the realm's TGS.
func request(name string) krbmsg.KDCReqBody { return kdctest.ASBody(client(name), "krbtgt", "A.TEST") }

// TestErrors is the table of section 4.1: each case breaks the rule it names, and where the
// order was confirmed, others that stand behind it too.
func TestErrors(t *testing.T) {
	const locked, needPre = dumpfmt.AttrDisallowAllTix, dumpfmt.AttrRequiresPreAuth
	expired := func(p *dumpfmt.Principal) { p.Expire = 1 }
	pwExpired := func(p *dumpfmt.Principal) { p.PwExpire = 1 }
	options := func(o uint32) func(*world, *krbmsg.KDCReqBody) {
		return func(_ *world, b *krbmsg.KDCReqBody) { b.Options = o }
	}
	entry := func(name string, fn func(p *dumpfmt.Principal)) func(*world, *krbmsg.KDCReqBody) {
		return func(w *world, _ *krbmsg.KDCReqBody) { w.change(name, fn) }
	}
	attr := func(name string, bits uint32) func(*world, *krbmsg.KDCReqBody) {
		return func(w *world, _ *krbmsg.KDCReqBody) { w.attr(name, bits) }
	}
	type prepare = func(*world, *krbmsg.KDCReqBody)
	lockedOut := func(w *world, b *krbmsg.KDCReqBody) {
		w.db.SetLockout("lpuser@A.TEST", dumpfmt.Lockout{FailCount: 2, LastFailed: at - 1})
		b.CName = krbmsg.Some(client("lpuser").Name)
	}
	cases := []struct {
		name    string
		prepare []prepare
		code    int32
		text    string
	}{
		{"3 no client name", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.CName.Set = false }}, 6, "NULL_CLIENT"},
		{"4 no server name: silence", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.SName.Set = false }}, -1, ""},
		{"5 client before 6 server", []prepare{func(_ *world, b *krbmsg.KDCReqBody) {
			b.CName, b.SName = krbmsg.Some(client("nosuch").Name), krbmsg.Some(client("nosvc").Name)
		}}, 6, "CLIENT_NOT_FOUND"},
		{"6 server", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(client("nosvc").Name) }}, 7, "SERVER_NOT_FOUND"},
		{"8 no krbtgt", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.db.Delete(tgt)
			b.SName = krbmsg.Some(client("svc128").Name)
		}}, 60, "GET_LOCAL_TGT"},
		{"8 no krbtgt key is permitted", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.r.Permitted = []krbcrypto.Enctype{krbcrypto.ETypeAES128SHA2}
		}}, 60, "GET_LOCAL_TGT"},
		{"8 a krbtgt key that does not open", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.change("krbtgt/A.TEST", func(p *dumpfmt.Principal) {
				for i := range p.Keys {
					p.Keys[i].Kvno = 99
				}
			})
		}}, 60, "GET_LOCAL_TGT"},
		{"9.1 options before 9.2", []prepare{options(krbmsg.OptForwarded), entry("user", expired)}, 13, "INVALID AS OPTIONS"},
		{"9.1 user to user", []prepare{options(krbmsg.OptEncTktInSkey)}, 13, "INVALID AS OPTIONS"},
		{"9.1 delegation", []prepare{options(krbmsg.OptCNameInAddlTkt)}, 13, "INVALID AS OPTIONS"},
		{"9.2 expired before 9.3, 9.7, 16", []prepare{entry("user", expired), entry("user", pwExpired), attr("user", locked|needPre)}, 1, "CLIENT EXPIRED"},
		{"9.3 password before 9.4", []prepare{entry("user", pwExpired), entry("krbtgt/A.TEST", expired)}, 23, "CLIENT KEY EXPIRED"},
		{"9.3 not for a password service", []prepare{entry("user", pwExpired), attr("krbtgt/A.TEST", dumpfmt.AttrPwChangeService)}, 0, ""},
		{"9.4 service before 9.5", []prepare{entry("krbtgt/A.TEST", expired), attr("user", dumpfmt.AttrRequiresPwChange)}, 2, "SERVICE EXPIRED"},
		{"9.5 change before 9.6, 9.7", []prepare{attr("user", dumpfmt.AttrRequiresPwChange|dumpfmt.AttrDisallowPostdated|locked),
			options(krbmsg.OptAllowPostdate)}, 23, "REQUIRED PWCHANGE"},
		{"9.5 not for a password service", []prepare{attr("user", dumpfmt.AttrRequiresPwChange), attr("krbtgt/A.TEST", dumpfmt.AttrPwChangeService)}, 0, ""},
		{"9.6 postdate before 9.7", []prepare{attr("user", dumpfmt.AttrDisallowPostdated|locked), options(krbmsg.OptAllowPostdate)}, 10, "POSTDATE NOT ALLOWED"},
		{"9.6 postdate, server", []prepare{attr("krbtgt/A.TEST", dumpfmt.AttrDisallowPostdated), options(krbmsg.OptPostdated)}, 10, "POSTDATE NOT ALLOWED"},
		{"9.7 client before 9.8, 16", []prepare{attr("user", locked|needPre), attr("krbtgt/A.TEST", locked)}, 18, "CLIENT LOCKED OUT"},
		{"9.8 service before 9.9, 16", []prepare{attr("user", needPre), attr("krbtgt/A.TEST", locked|dumpfmt.AttrDisallowSvr)}, 7, "SERVICE LOCKED OUT"},
		{"9.9 no service, before 10, 16", []prepare{attr("user", needPre), attr("krbtgt/A.TEST", dumpfmt.AttrDisallowSvr),
			func(_ *world, b *krbmsg.KDCReqBody) { b.Etypes = []int32{999} }}, 27, "SERVICE NOT ALLOWED"},
		{"9.10 anonymous", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.r.RestrictAnon = true
			b.CName = krbmsg.Some(krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"))
			b.SName = krbmsg.Some(client("svc128").Name)
		}}, 12, "ANONYMOUS NOT ALLOWED"},
		{"9.11 locked out, before 10 and 16", []prepare{lockedOut, func(_ *world, b *krbmsg.KDCReqBody) { b.Etypes = []int32{999} }}, 18, "LOCKED_OUT"},
		{"9.9 before 9.11", []prepare{lockedOut, attr("krbtgt/A.TEST", dumpfmt.AttrDisallowSvr)}, 27, "SERVICE NOT ALLOWED"},
		{"9.11 not with disable_lockout", []prepare{lockedOut, func(w *world, _ *krbmsg.KDCReqBody) { w.r.DisableLockout = true }}, 25, "NEEDED_PREAUTH"},
		{"10 session enctype before 16", []prepare{attr("user", needPre), func(_ *world, b *krbmsg.KDCReqBody) { b.Etypes = []int32{999, -135} }}, 14, "BAD_ENCRYPTION_TYPE"},
		{"10 rc4 session is off", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.r.AllowRC4 = false
			b.Etypes, b.SName = []int32{23}, krbmsg.Some(client("svcrc4").Name)
		}}, 14, "BAD_ENCRYPTION_TYPE"},
		{"11 postdated to the past", []prepare{func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.From = krbmsg.OptPostdated, krbmsg.Some[int64](at-10)
		}},
			10, "POSTDATE NOT ALLOWED"},
		{"11 postdated to no time", []prepare{options(krbmsg.OptPostdated)}, 10, "POSTDATE NOT ALLOWED"},
		{"11 postdated within the skew", []prepare{func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.From = krbmsg.OptPostdated, krbmsg.Some[int64](at+300)
		}},
			10, "POSTDATE NOT ALLOWED"},
		{"11 over before it begins", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.Till = at - 1 }}, 11, "NEVER_VALID"},
		{"11 over as it begins", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.Till = at }}, 11, "NEVER_VALID"},
		{"11 a negative life", []prepare{entry("user", func(p *dumpfmt.Principal) { p.MaxLife = -1 })}, 11, "NEVER_VALID"},
		{"12 anonymous for somebody", []prepare{options(krbmsg.OptRequestAnonymous)}, 13, "VALIDATE_ANONYMOUS_PRINCIPAL"},
		{"12 anonymous needs preauthentication", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.change("WELLKNOWN/ANONYMOUS", func(p *dumpfmt.Principal) { p.Attributes = 0 })
			b.Options = krbmsg.OptRequestAnonymous
			b.CName = krbmsg.Some(krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"))
		}}, 25, "NEEDED_PREAUTH"},
		{"13 client key does not open", []prepare{func(w *world, _ *krbmsg.KDCReqBody) {
			w.change("user", func(p *dumpfmt.Principal) { p.Keys[0].Kvno = 99 })
		}}, 60, "DECRYPT_CLIENT_KEY"},
		{"16 preauthentication before 22", []prepare{attr("user", needPre), func(w *world, _ *krbmsg.KDCReqBody) { w.setString("krbtgt/A.TEST", "require_auth", "x") }},
			25, "NEEDED_PREAUTH"},
		{"16 hardware", []prepare{attr("user", dumpfmt.AttrRequiresHWAuth)}, 25, "NEEDED_HW_PREAUTH"},
		{"16 any preauthentication before hardware", []prepare{attr("user", dumpfmt.AttrRequiresHWAuth|needPre)}, 25, "NEEDED_PREAUTH"},
		{"18 server without key", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			b.SName = krbmsg.Some(client("nokeynopre").Name)
		}}, 60, "FINDING_SERVER_KEY"},
		{"20 client without key", []prepare{func(_ *world, b *krbmsg.KDCReqBody) { b.CName = krbmsg.Some(client("nokeynopre").Name) }}, 14, "CANT_FIND_CLIENT_KEY"},
		{"20 after 15: preauthentication had its chance", []prepare{attr("nokeynopre", needPre), func(_ *world, b *krbmsg.KDCReqBody) {
			b.CName = krbmsg.Some(client("nokeynopre").Name)
		}}, 25, "NEEDED_PREAUTH"},
		{"21 PAC key of an unknown type", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.setString("svc128", "pac_privsvr_enctype", "rot13")
			b.SName = krbmsg.Some(client("svc128").Name)
		}}, 60, "HANDLE_AUTHDATA"},
		{"21 before 22", []prepare{func(w *world, b *krbmsg.KDCReqBody) {
			w.setString("svcind", "pac_privsvr_enctype", "rot13")
			b.SName = krbmsg.Some(client("svcind").Name)
		}}, 60, "HANDLE_AUTHDATA"},
		{"22 indicators", []prepare{func(w *world, b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(client("svcind").Name) }}, 12, "HIGHER_AUTHENTICATION_REQUIRED"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b := request("user")
			for _, p := range c.prepare {
				p(w, &b)
			}
			out := answer(t, w.r, kdctest.ASReq(b), at)
			if code, text := kdctest.Code(t, out); code != c.code || text != c.text {
				t.Errorf("%d %q, want %d %q (%v)", code, text, c.code, c.text, out.Event.Err)
			}
			if c.code > 0 && (out.Event.Code != c.code || out.Event.Status != c.text) {
				t.Errorf("event %+v", out.Event)
			}
		})
	}
}

func TestMessageType(t *testing.T) {
	w := newWorld(t)
	for _, mt := range []int32{0, 11, 12, 13, 14, 30, 127} {
		q := krbmsg.KDCReq{AS: true, MsgType: mt, Body: request("user")}
		if code, text := kdctest.Code(t, answer(t, w.r, krbmsg.Marshal(&q), at)); code != 60 || text != "VALIDATE_MESSAGE_TYPE" {
			t.Errorf("type %d: %d %s", mt, code, text)
		}
	}
}

// ask answers a request and opens the reply with the client's key.
func (w *world) ask(b krbmsg.KDCReqBody, name string, padata ...krbmsg.PAData) (*kdctest.Reply, *kdctest.Creds) {
	w.t.Helper()
	rep := kdctest.Open(w.t, answer(w.t, w.r, kdctest.ASReq(b, padata...), at), w.key(name), krbcrypto.UsageASRepEncPart)
	sname := exchange.Principal{Name: rep.Rep.Ticket.SName, Realm: rep.Rep.Ticket.Realm}
	e, ok := w.r.Resolve(sname.Name, sname.Realm)
	if !ok {
		w.t.Fatalf("ticket for %s", sname)
	}
	return rep, rep.Creds(w.t, kdctest.Key(w.t, w.r, exchange.Principal{Name: e.CName, Realm: e.CRealm}))
}

// TestTimes is section 3.3.
func TestTimes(t *testing.T) {
	const hour, inf = 3600, int64(1<<32 - 1)
	type times struct{ start, end, renew int64 } // 0: absent
	cases := []struct {
		name   string
		change func(w *world, b *krbmsg.KDCReqBody)
		want   times
	}{
		{"as asked", func(_ *world, b *krbmsg.KDCReqBody) { b.Till = at + hour }, times{end: at + hour}},
		{"till 1970 is as long as possible", func(_ *world, b *krbmsg.KDCReqBody) { b.Till = 0 }, times{end: at + 10*hour}},
		{"till 9999", func(_ *world, b *krbmsg.KDCReqBody) { b.Till = 253402300799 }, times{end: at + 10*hour}},
		{"client's limit", func(w *world, b *krbmsg.KDCReqBody) { w.change("user", func(p *dumpfmt.Principal) { p.MaxLife = 300 }) }, times{end: at + 300}},
		{"server's limit", func(_ *world, b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(client("svcshort").Name) }, times{end: at + hour}},
		{"realm's limit", func(w *world, _ *krbmsg.KDCReqBody) { w.r.MaxLife = 60 }, times{end: at + 60}},
		{"no limits at all", func(w *world, b *krbmsg.KDCReqBody) {
			w.r.MaxLife, b.Till = 0, 0
			for _, n := range []string{"user", "krbtgt/A.TEST"} {
				w.change(n, func(p *dumpfmt.Principal) { p.MaxLife = 0 })
			}
		}, times{end: inf}},
		{"renewable, no rtime", func(_ *world, b *krbmsg.KDCReqBody) { b.Options = krbmsg.OptRenewable }, times{end: at + 10*hour, renew: at + 7*24*hour}},
		{"rtime honoured though before the end", func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.RTime = krbmsg.OptRenewable, krbmsg.Some[int64](at+60)
		}, times{end: at + 10*hour, renew: at + 60}},
		{"renewable with limit 0: till the start", func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.CName = krbmsg.OptRenewable, krbmsg.Some(client("shortuser").Name)
		}, times{end: at + 300, renew: at}},
		{"renewable-ok not needed", func(_ *world, b *krbmsg.KDCReqBody) { b.Options = krbmsg.OptRenewableOK }, times{end: at + 10*hour}},
		{"renewable-ok", func(_ *world, b *krbmsg.KDCReqBody) { b.Options, b.Till = krbmsg.OptRenewableOK, at+24*hour },
			times{end: at + 10*hour, renew: at + 24*hour}},
		{"renewable-ok with limit 0", func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.Till, b.CName = krbmsg.OptRenewableOK, at+24*hour, krbmsg.Some(client("shortuser").Name)
		}, times{end: at + 300}},
		{"renewal forbidden to the client", func(w *world, b *krbmsg.KDCReqBody) {
			w.attr("user", dumpfmt.AttrDisallowRenewable)
			b.Options = krbmsg.OptRenewable
		}, times{end: at + 10*hour}},
		{"renewal forbidden to the server", func(w *world, b *krbmsg.KDCReqBody) {
			w.attr("krbtgt/A.TEST", dumpfmt.AttrDisallowRenewable)
			b.Options = krbmsg.OptRenewable
		}, times{end: at + 10*hour}},
		{"from without postdated is ignored", func(_ *world, b *krbmsg.KDCReqBody) { b.From = krbmsg.Some[int64](at + hour) }, times{end: at + 10*hour}},
		{"postdated", func(_ *world, b *krbmsg.KDCReqBody) {
			b.Options, b.From = krbmsg.OptPostdated, krbmsg.Some[int64](at+hour)
		},
			times{start: at + hour, end: at + 10*hour}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b := request("user")
			b.Till = at + 10*hour
			c.change(w, &b)
			// All clients of these cases have keys that are published.
			out := answer(t, w.r, kdctest.ASReq(b), at)
			rep := kdctest.Open(t, out, w.key(string(b.CName.V.Parts[0])), krbcrypto.UsageASRepEncPart)
			got := times{rep.Part.StartTime.V, rep.Part.EndTime, rep.Part.RenewTill.V}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if (rep.Part.Flags&krbmsg.FlagRenewable != 0) != rep.Part.RenewTill.Set {
				t.Errorf("flags %08x with renew-till %v", rep.Part.Flags, rep.Part.RenewTill)
			}
			if post := rep.Part.Flags & (krbmsg.FlagPostdated | krbmsg.FlagInvalid); (c.want.start != 0) != (post == krbmsg.FlagPostdated|krbmsg.FlagInvalid) {
				t.Errorf("flags %08x", rep.Part.Flags)
			}
		})
	}
}

// TestFlags is section 3.4 and the attributes of 3.5 that clear flags.
func TestFlags(t *testing.T) {
	const always = uint32(krbmsg.FlagInitial | krbmsg.FlagEncPARep)
	for _, c := range []struct {
		name    string
		options uint32
		attrs   map[string]uint32
		want    uint32
	}{
		{"plain", 0, nil, always},
		{"all asked", krbmsg.OptForwardable | krbmsg.OptProxiable | krbmsg.OptAllowPostdate, nil,
			always | krbmsg.FlagForwardable | krbmsg.FlagProxiable | krbmsg.FlagMayPostdate},
		{"client may not", krbmsg.OptForwardable | krbmsg.OptProxiable,
			map[string]uint32{"user": dumpfmt.AttrDisallowForwardable | dumpfmt.AttrDisallowProxiable}, always},
		{"server may not", krbmsg.OptForwardable | krbmsg.OptProxiable,
			map[string]uint32{"krbtgt/A.TEST": dumpfmt.AttrDisallowForwardable | dumpfmt.AttrDisallowProxiable}, always},
		{"ok-as-delegate only in the TGS", 0, map[string]uint32{"krbtgt/A.TEST": dumpfmt.AttrOKAsDelegate}, always},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for n, a := range c.attrs {
				w.attr(n, a)
			}
			b := request("user")
			b.Options = c.options
			rep, creds := w.ask(b, "user")
			if rep.Part.Flags != c.want || creds.Part.Flags != c.want {
				t.Errorf("flags %08x and %08x, want %08x", rep.Part.Flags, creds.Part.Flags, c.want)
			}
		})
	}
}

// TestKeySelection is section 3.2.
func TestKeySelection(t *testing.T) {
	etypes := func(list ...int32) func(*world, *krbmsg.KDCReqBody) {
		return func(_ *world, b *krbmsg.KDCReqBody) { b.Etypes = list }
	}
	for _, c := range []struct {
		name          string
		change        func(w *world, b *krbmsg.KDCReqBody)
		rep, tkt, ses int32
	}{
		{"the list's order governs the reply and session", etypes(17, 18), 17, 18, 17},
		{"session etype the server is assumed to know", etypes(18), 18, 18, 18},
		{"session etype the server has a key of", func(w *world, b *krbmsg.KDCReqBody) {
			b.Etypes = []int32{17, 18}
			b.SName = krbmsg.Some(client("svc128").Name)
		}, 17, 17, 17},
		{"session_enctypes decides alone", func(w *world, b *krbmsg.KDCReqBody) {
			w.setString("krbtgt/A.TEST", "session_enctypes", "aes128-cts-hmac-sha256-128 aes128-cts")
			b.Etypes = []int32{18, 17, 19}
		}, 18, 18, 17},
		{"unknown types are passed over", etypes(-135, 3, 999, 17, 18), 17, 18, 17},
		{"rc4 serves as reply key only", func(_ *world, b *krbmsg.KDCReqBody) {
			b.CName = krbmsg.Some(client("rc4").Name)
			b.Etypes = []int32{18, 23}
		}, 23, 18, 18},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b := request("user")
			c.change(w, &b)
			out := answer(t, w.r, kdctest.ASReq(b), at)
			ev := out.Event
			if ev.RepEtype != c.rep || ev.TktEtype != c.tkt || ev.SesEtype != c.ses {
				t.Errorf("rep %d tkt %d ses %d (%v), want %d %d %d", ev.RepEtype, ev.TktEtype, ev.SesEtype, ev.Status, c.rep, c.tkt, c.ses)
			}
		})
	}
}

// TestOldKeysNeverServeAS: only the current version of a client's key counts.
func TestOldKeysNeverServeAS(t *testing.T) {
	w := newWorld(t)
	old := w.key("pre")
	fresh := w.keys.Add(t, w.db, "pre@A.TEST", 9, krbcrypto.ETypeAES256SHA1)
	b := request("pre")
	if code, _ := kdctest.Code(t, answer(t, w.r, kdctest.ASReq(b, kdctest.Timestamp(old, at)), at)); code != 24 {
		t.Errorf("old key: %d", code)
	}
	out := answer(t, w.r, kdctest.ASReq(b, kdctest.Timestamp(fresh, at)), at)
	kdctest.Open(t, out, fresh, krbcrypto.UsageASRepEncPart)
	// A newest version of an enctype that is not permitted hides the older ones.
	w.r.Permitted = slices.DeleteFunc(slices.Clone(w.r.Permitted), func(e krbcrypto.Enctype) bool { return e == krbcrypto.ETypeAES128SHA2 })
	w.keys.Add(t, w.db, "pre@A.TEST", 10, krbcrypto.ETypeAES128SHA2)
	if code, text := kdctest.Code(t, answer(t, w.r, kdctest.ASReq(b, kdctest.Timestamp(fresh, at)), at)); code != 24 {
		t.Errorf("hidden key: %d %s", code, text)
	}
}
