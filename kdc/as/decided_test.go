package as

import (
	"fmt"
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/tests/kdctest"
)

// TestVagueErrors is the switch of section 4.1: it hides 1, 6 and 23 from the client, and nothing from
// the log.
func TestVagueErrors(t *testing.T) {
	for _, c := range []struct {
		client string
		code   int32
		text   string
		said   int32
	}{
		{"nobody", 6, "CLIENT_NOT_FOUND", 60},
		{"expired", 1, "CLIENT EXPIRED", 60},
		{"pwexpired", 23, "CLIENT KEY EXPIRED", 60},
		{"mustchange", 23, "REQUIRED PWCHANGE", 60},
		{"lockedout", 18, "CLIENT LOCKED OUT", 18},
		{"pre", 25, "NEEDED_PREAUTH", 25},
	} {
		w := newWorld(t)
		w.r.VagueErrors = true
		out := answer(t, w.r, kdctest.ASReq(request(c.client)), at)
		code, text := kdctest.Code(t, out)
		want := c.text
		if c.said == 60 {
			want = "UNKNOWN_REASON"
		}
		if code != c.said || text != want || out.Event.Code != c.code || out.Event.Status != c.text {
			t.Errorf("%s: %d %s, log %d %s", c.client, code, text, out.Event.Code, out.Event.Status)
		}
	}
}

// TestReplyTag is section 4.10: 26 unless the settings want 25.
func TestReplyTag(t *testing.T) {
	for _, tag25 := range []bool{false, true} {
		w := newWorld(t)
		w.r.ASTag = tag25
		if rep, _ := w.ask(request("user"), "user"); rep.Part.ASTag != tag25 {
			t.Errorf("tag 25: %v, want %v", rep.Part.ASTag, tag25)
		}
	}
}

// TestGuessesBesideSPAKECount is 4.3 and 4.11: however padata is arranged, a request with a wrong guess
// counts once, and one without counts not.
func TestGuessesBesideSPAKECount(t *testing.T) {
	for _, c := range []struct {
		name   string
		padata func(w *world) []krbmsg.PAData
		code   int32
		counts bool
	}{
		{"support", func(*world) []krbmsg.PAData { return []krbmsg.PAData{supportOf(1)} }, 91, false},
		{"support, wrong", func(w *world) []krbmsg.PAData {
			return []krbmsg.PAData{supportOf(1), kdctest.Timestamp(w.key("user"), at)}
		}, 91, true},
		{"wrong, support", func(w *world) []krbmsg.PAData {
			return []krbmsg.PAData{kdctest.Timestamp(w.key("user"), at), supportOf(1)}
		}, 91, true},
		{"wrong, skew", func(w *world) []krbmsg.PAData {
			return []krbmsg.PAData{kdctest.Timestamp(w.key("user"), at), kdctest.Timestamp(w.key("pre"), at+999)}
		}, 37, true},
		{"support, skew", func(w *world) []krbmsg.PAData {
			return []krbmsg.PAData{supportOf(1), kdctest.Timestamp(w.key("pre"), at+999)}
		}, 91, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.r.SPAKEGroups = []spake.Group{spake.Edwards25519}
			out := answer(t, w.r, kdctest.ASReq(request("pre"), c.padata(w)...), at)
			if code, text := kdctest.Code(t, out); code != c.code || (out.Note != nil && out.Note.Failure) != c.counts {
				t.Errorf("%d %s, note %+v", code, text, out.Note)
			}
		})
	}
}

// TestAliasDepth is section 3.1: ten aliases in a row are followed, not eleven.
func TestAliasDepth(t *testing.T) {
	w := newWorld(t)
	w.alias("alias1", "user@A.TEST")
	for i := 2; i <= 11; i++ {
		w.alias(fmt.Sprint("alias", i), fmt.Sprintf("alias%d@A.TEST", i-1))
	}
	for i, want := range map[int]int32{1: 0, 9: 0, 10: 0, 11: 6} {
		if code, _ := kdctest.Code(t, answer(t, w.r, kdctest.ASReq(request(fmt.Sprint("alias", i))), at)); code != want {
			t.Errorf("%d aliases: %d, want %d", i, code, want)
		}
	}
}

// TestTGSNames is section 3.1: the service is named canonically only with CANONICALIZE, and only if both
// names are those of ticket granting services.
func TestTGSNames(t *testing.T) {
	for _, c := range []struct {
		name, alias string
		asked       []string
		canon       bool
		want        []string
	}{
		{"alias of a TGS", "krbtgt/OLD.TEST", []string{"krbtgt", "OLD.TEST"}, true, []string{"krbtgt", "A.TEST"}},
		{"not asked for", "krbtgt/OLD.TEST", []string{"krbtgt", "OLD.TEST"}, false, []string{"krbtgt", "OLD.TEST"}},
		{"the alias is no TGS name", "tgs", []string{"tgs"}, true, []string{"tgs"}},
	} {
		w := newWorld(t)
		w.alias(c.alias, "krbtgt/A.TEST@A.TEST")
		b := request("user")
		b.SName = krbmsg.Some(kdctest.Name("", c.asked...).Name)
		if c.canon {
			b.Options = krbmsg.OptCanonicalize
		}
		rep, _ := w.ask(b, "user")
		if !rep.Part.SName.Is(c.want...) || !rep.Rep.Ticket.SName.Is(c.want...) {
			t.Errorf("%s: %s and %s", c.name, rep.Part.SName.Unparse(nil), rep.Rep.Ticket.SName.Unparse(nil))
		}
	}
}

// TestSaltOfAlias is section 4.4: the salt is that of the canonical name, in hints and replies.
func TestSaltOfAlias(t *testing.T) {
	w := newWorld(t)
	w.alias("aka", "user@A.TEST")
	w.alias("akapre", "pre@A.TEST")
	salt := func(list []krbmsg.PAData) string {
		v, _ := krbmsg.FindPA(list, krbmsg.PAETypeInfo2)
		var info krbmsg.ETypeInfo2
		if err := info.Parse(v); err != nil || len(info) != 1 {
			t.Fatal(info, err)
		}
		return string(info[0].Salt)
	}
	rep, _ := w.ask(request("aka"), "user")
	_, md := errorData(t, answer(t, w.r, kdctest.ASReq(request("akapre")), at))
	if a, b := salt(rep.Rep.PAData), salt(md); a != "A.TESTuser" || b != "A.TESTpre" {
		t.Errorf("salts %q and %q", a, b)
	}
}

// TestNoAuthData is section 3.5: a server with NO_AUTH_DATA_REQUIRED gets neither PAC nor indicators; its
// require_auth holds all the same.
func TestNoAuthData(t *testing.T) {
	for _, plain := range []bool{false, true} {
		w := newWorld(t)
		w.r.SPAKEGroups, w.r.SPAKEIndicators = []spake.Group{spake.Edwards25519}, []string{"strong"}
		w.setString("krbtgt/A.TEST", "require_auth", "strong")
		if plain {
			w.attr("krbtgt/A.TEST", dumpfmt.AttrNoAuthDataRequired)
		}
		c := w.askSPAKE("pre", w.key("pre"), 1)
		body := request("pre")
		out := answer(t, w.r, kdctest.ASReq(body, c.cookie, c.respond(body)), at)
		creds := kdctest.Open(t, out, c.reply, krbcrypto.UsageASRepEncPart).Creds(t, w.key2("krbtgt", "A.TEST"))
		if got, want := len(creds.Part.AuthData), map[bool]int{false: 2, true: 0}[plain]; got != want {
			t.Errorf("NO_AUTH_DATA_REQUIRED %v: %d elements, want %d", plain, got, want)
		}
	}
}

func (w *world) key2(parts ...string) *krbcrypto.Key {
	w.t.Helper()
	return kdctest.Key(w.t, w.r, kdctest.Name("A.TEST", parts...))
}

// TestRequestChecksum is section 4.6: PA-REQ-ENC-PA-REP is answered by a checksum over the whole request,
// inside FAST or out, in front of other encrypted padata.
func TestRequestChecksum(t *testing.T) {
	w := newWorld(t)
	ask := krbmsg.PAData{Type: krbmsg.PAReqEncPARep, Value: []byte{}}
	options := krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})}
	msg := kdctest.ASReq(request("user"), options, ask)
	rep := kdctest.Open(t, answer(t, w.r, msg, at), w.key("user"), krbcrypto.UsageASRepEncPart)
	if !slices.Equal(types(rep.Part.PAData), []int32{149, 136, 167}) {
		t.Fatalf("encrypted padata %v", types(rep.Part.PAData))
	}
	var sum krbmsg.Checksum
	if err := sum.Parse(rep.Part.PAData[0].Value); err != nil {
		t.Fatal(err)
	}
	if err := w.key("user").VerifyChecksum(krbcrypto.UsageASReqChecksum, msg, sum.Sum); err != nil {
		t.Error(err)
	}
	if rep, _ := w.ask(request("user"), "user"); rep.Part.PAData != nil {
		t.Errorf("unasked: %v", types(rep.Part.PAData))
	}
}

// TestArmorIsNoService is section 4.6: the AP-REQ of an armor needs no checksum, and its ticket may be used
// from anywhere and be marked as armor.
func TestArmorIsNoService(t *testing.T) {
	w := newWorld(t)
	f := fastReq{armor: kdctest.Forge(t, w.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
		p.CAddr = []krbmsg.HostAddress{{Type: krbmsg.AddrIPv4, Addr: []byte{10, 9, 8, 7}}}
		p.AuthData = krbmsg.AuthorizationData{{Type: krbmsg.ADFXArmor, Data: []byte{}}}
	})}
	sub, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		t.Fatal(err)
	}
	f.shown = kdctest.Shown{Subkey: sub, Auth: func(a *krbmsg.Authenticator) { a.Cksum.Set = false }}
	// A timestamp is accepted inside FAST too, though not offered there (4.5).
	f.padata = func(*krbcrypto.Key) []krbmsg.PAData { return []krbmsg.PAData{kdctest.Timestamp(w.key("pre"), at)} }
	msg, _ := f.encode(t, request("nobody"), request("pre"))
	if code, text := kdctest.Code(t, answer(t, w.r, msg, at)); code != 0 {
		t.Errorf("%d %s", code, text)
	}
}

// TestOuterServerName is section 4.6: the outer body counts for nothing, though krb5kdc wants a server name
// in it; Heimdal's client sends none. An error that could not name its server is not sent (section 2).
func TestOuterServerName(t *testing.T) {
	w := newWorld(t)
	home := kdctest.Forge(t, w.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil)
	unnamed := request("nobody")
	unnamed.SName.Set, unnamed.Realm, unnamed.Etypes = false, []byte("WELLKNOWN:ANONYMOUS"), []int32{}
	noServer := request("user")
	noServer.SName.Set = false
	spoiled := func(a *krbmsg.FastArmoredReq) { a.Checksum.Sum[0] ^= 1 }
	for _, c := range []struct {
		name         string
		outer, inner krbmsg.KDCReqBody
		areq         func(a *krbmsg.FastArmoredReq)
		code         int32
	}{
		{"Heimdal's way", unnamed, request("user"), nil, 0},
		{"Heimdal's way, an error inside", unnamed, request("pre"), nil, 25},
		{"Heimdal's way, spoiled", unnamed, request("user"), spoiled, -1},
		{"spoiled", request("nobody"), request("user"), spoiled, 41},
		{"4.1 row 4, no server inside", request("nobody"), noServer, nil, -1},
	} {
		f := fastReq{armor: home, areq: c.areq}
		msg, _ := f.encode(t, c.outer, c.inner)
		if code, text := kdctest.Code(t, answer(t, w.r, msg, at)); code != c.code {
			t.Errorf("%s: %d %s, want %d", c.name, code, text, c.code)
		}
	}
	q := krbmsg.KDCReq{AS: true, MsgType: 11, Body: noServer}
	if code, _ := kdctest.Code(t, answer(t, w.r, krbmsg.Marshal(&q), at)); code != -1 {
		t.Errorf("another message type, no server: %d", code)
	}
}

// TestErrorsUnderArmor is section 4.6: errors go out under the armor from where its key is known on, before
// the inner request counts as well as after.
func TestErrorsUnderArmor(t *testing.T) {
	for _, c := range []struct {
		name    string
		spoil   func(f *fastReq)
		code    int32
		nonce   int64 // in the armored part
		client  string
		armored bool
	}{
		{"armor of another type", func(f *fastReq) { f.areq = func(a *krbmsg.FastArmoredReq) { a.Armor.V.Type = 2 } }, 24, 0, "nobody", false},
		{"checksum", func(f *fastReq) { f.areq = func(a *krbmsg.FastArmoredReq) { a.Checksum.Sum[0] ^= 1 } }, 41, 7, "nobody", true},
		{"critical option", func(f *fastReq) { f.opts = 0x80000000 }, 93, 7, "nobody", true},
		{"preauthentication", func(*fastReq) {}, 25, 8, "pre", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			f := fastReq{armor: kdctest.Forge(t, w.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil)}
			c.spoil(&f)
			outer, inner := request("nobody"), request("pre")
			outer.Nonce, inner.Nonce = 7, 8
			msg, armor := f.encode(t, outer, inner)
			out := answer(t, w.r, msg, at)
			var e krbmsg.KRBError
			if err := e.Parse(out.Reply); err != nil || e.Code != c.code || !e.CName.V.Is(c.client) || (e.EData != nil) != c.armored {
				t.Fatalf("%+v, %v", e, err)
			}
			if !c.armored {
				return
			}
			_, md := errorData(t, out)
			var rep krbmsg.FastArmoredRep
			var resp krbmsg.FastResponse
			if err := rep.Parse(md[0].Value); err != nil {
				t.Fatal(err)
			}
			plain, err := armor.Decrypt(nil, krbcrypto.UsageFASTRep, rep.EncFastRep.Cipher)
			if err != nil || resp.Parse(plain) != nil || resp.Nonce != c.nonce || resp.PAData[len(resp.PAData)-1].Type != krbmsg.PAFXError {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
}

// TestTicketForm is the ticket of section 4.10: version of its key, an empty transited list.
func TestTicketForm(t *testing.T) {
	w := newWorld(t)
	rep, creds := w.ask(request("user"), "user")
	if e := rep.Rep.Ticket.EncPart; !e.Kvno.Set || e.Kvno.V != 1 || rep.Rep.EncPart.Kvno.Set {
		t.Errorf("versions of keys: ticket %+v, reply %+v", e.Kvno, rep.Rep.EncPart.Kvno)
	}
	if tr := creds.Part.Transited; tr.Type != 1 || len(tr.Contents) != 0 {
		t.Errorf("transited %+v", tr)
	}
	if l := rep.Part.LastReq; len(l) != 1 || l[0] != (krbmsg.LastReq{}) {
		t.Errorf("last-req %+v", l)
	}
}

// TestCookiesAreIgnored is row 14 of 4.1: no cookie harms a request that needs none.
func TestCookiesAreIgnored(t *testing.T) {
	w := newWorld(t)
	for _, value := range [][]byte{{}, []byte("MIT"), []byte("MIT1"), []byte("MIT1\x00\x00\x00\x01garbage"), []byte("something else"), make([]byte, 5000)} {
		cookie := krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: value}
		if code, text := kdctest.Code(t, answer(t, w.r, kdctest.ASReq(request("pre"), cookie, kdctest.Timestamp(w.key("pre"), at)), at)); code != 0 {
			t.Errorf("%.20q: %d %s", value, code, text)
		}
	}
}
