package fast

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

var now = time.Unix(kdctest.At, 5000)

func random(t *testing.T, e krbcrypto.Enctype) *krbcrypto.Key {
	t.Helper()
	k, err := krbcrypto.RandomKey(e)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// request armors an inner request with a key; change may spoil it before it is encoded.
func request(key *krbcrypto.Key, covered []byte, options uint32, change func(a *krbmsg.FastArmoredReq)) []byte {
	inner := krbmsg.FastReq{Options: options, PAData: []krbmsg.PAData{{Type: 7, Value: []byte("x")}},
		Body: kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST")}
	a := krbmsg.FastArmoredReq{
		Checksum:   krbmsg.Checksum{Type: key.ChecksumType(), Sum: key.Checksum(nil, krbcrypto.UsageFASTReqChecksum, covered)},
		EncFastReq: krbmsg.EncryptedData{Etype: int32(key.Enctype()), Cipher: key.Encrypt(nil, krbcrypto.UsageFASTEnc, krbmsg.Marshal(&inner))},
	}
	if change != nil {
		change(&a)
	}
	return krbmsg.Marshal(&a)
}

// TestOpenTGS is section 4.6 for TGS requests, and what the inner request of both must be.
func TestOpenTGS(t *testing.T) {
	covered := []byte("the AP-REQ")
	session, subkey := random(t, krbcrypto.ETypeAES256SHA1), random(t, krbcrypto.ETypeAES128SHA2)
	key, err := krbcrypto.CF2(subkey, session, "subkeyarmor", "ticketarmor")
	if err != nil {
		t.Fatal(err)
	}
	type areq = *krbmsg.FastArmoredReq
	for _, c := range []struct {
		name    string
		value   []byte
		subkey  *krbcrypto.Key
		covered []byte
		code    int32
	}{
		{"good", request(key, covered, 0, nil), subkey, covered, 0},
		{"names hidden", request(key, covered, krbmsg.FastHideClientNames, nil), subkey, covered, 0},
		{"undecodable", []byte{0xa0, 0x80}, subkey, covered, 60},
		{"armor named", request(key, covered, 0, func(a areq) { a.Armor = krbmsg.Some(krbmsg.FastArmor{Type: 1, Value: []byte{1}}) }), subkey, covered, 24},
		{"no subkey", request(key, covered, 0, nil), nil, covered, 24},
		{"another subkey", request(key, covered, 0, nil), random(t, krbcrypto.ETypeAES128SHA2), covered, 31},
		{"subkey of another type", request(key, covered, 0, nil), random(t, krbcrypto.ETypeAES256SHA2), covered, 60},
		{"changed inside", request(key, covered, 0, func(a areq) { a.EncFastReq.Cipher[20] ^= 1 }), subkey, covered, 31},
		{"short inside", request(key, covered, 0, func(a areq) { a.EncFastReq.Cipher = a.EncFastReq.Cipher[:5] }), subkey, covered, 60},
		{"sealed garbage", request(key, covered, 0, func(a areq) {
			a.EncFastReq.Cipher = key.Encrypt(nil, krbcrypto.UsageFASTEnc, []byte("garbage"))
		}), subkey, covered, 60},
		{"of another message", request(key, covered, 0, nil), subkey, []byte("another AP-REQ"), 41},
		{"checksum in another usage", request(key, covered, 0, func(a areq) {
			a.Checksum.Sum = key.Checksum(nil, krbcrypto.UsageFASTReqChecksum+1, covered)
		}), subkey, covered, 41},
		{"checksum of unknown type", request(key, covered, 0, func(a areq) { a.Checksum.Type = 999 }), subkey, covered, 60},
		{"critical option", request(key, covered, 0x20000000, nil), subkey, covered, 93},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, refusal := OpenTGS(c.value, c.covered, session, c.subkey)
			if c.code != 0 {
				if refusal == nil || refusal.Code != c.code || refusal.Status != "FIND_FAST" {
					t.Errorf("%v, want %d", refusal, c.code)
				}
				if (a == nil) != slices.Contains([]string{"undecodable", "armor named", "no subkey"}, c.name) {
					t.Errorf("armor for the error: %v", a)
				}
				return
			}
			if refusal != nil {
				t.Fatal(refusal)
			}
			if !a.Key.Equal(key) || a.Hide != (c.name == "names hidden") || len(a.Req.PAData) != 1 || a.Req.Body.Nonce != 4711 || len(a.Req.RawBody) == 0 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestOpenAS: the armor of an AS request is an AP-REQ with a TGT of this realm and a subkey.
func TestOpenAS(t *testing.T) {
	r, _, _ := kdctest.Realm(t, "A.TEST")
	body := []byte("the outer body")
	subkey := random(t, krbcrypto.ETypeAES256SHA2)
	home := kdctest.Name("A.TEST", "krbtgt", "A.TEST")
	for _, c := range []struct {
		name   string
		server exchange.Principal
		part   func(p *krbmsg.EncTicketPart)
		shown  kdctest.Shown
		now    time.Time
		code   int32
	}{
		{"good", home, nil, kdctest.Shown{Subkey: subkey}, now, 0},
		{"TGT of a realm that trusts us", kdctest.Name("B.TEST", "krbtgt", "A.TEST"), nil, kdctest.Shown{Subkey: subkey}, now, 0},
		{"TGT for another realm", kdctest.Name("A.TEST", "krbtgt", "B.TEST"), nil, kdctest.Shown{Subkey: subkey}, now, 26},
		{"no subkey", home, nil, kdctest.Shown{}, now, 12},
		{"another client's authenticator", home, nil, kdctest.Shown{Subkey: subkey, Auth: func(a *krbmsg.Authenticator) { a.CName = krbmsg.NewName(1, "x") }}, now, 36},
		{"clock", home, nil, kdctest.Shown{Subkey: subkey}, now.Add(301 * time.Second), 37},
		{"expired", home, func(p *krbmsg.EncTicketPart) { p.EndTime = kdctest.At - 301 }, kdctest.Shown{Subkey: subkey}, now, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			creds := kdctest.Forge(t, r, c.server, c.part)
			key := creds.Session
			if c.shown.Subkey != nil {
				var err error
				if key, err = krbcrypto.CF2(subkey, creds.Session, "subkeyarmor", "ticketarmor"); err != nil {
					t.Fatal(err)
				}
			}
			value := request(key, body, 0, func(a *krbmsg.FastArmoredReq) {
				a.Armor = krbmsg.Some(krbmsg.FastArmor{Type: 1, Value: creds.APReq(nil, krbcrypto.UsageAPReqAuth, c.shown)})
			})
			a, refusal := OpenAS(r, value, body, c.now)
			switch {
			case c.code == 0 && (refusal != nil || !a.Key.Equal(key)):
				t.Errorf("%+v, %v", a, refusal)
			case c.code != 0 && (refusal == nil || refusal.Code != c.code):
				t.Errorf("%v, want %d", refusal, c.code)
			}
		})
	}
}

// response opens what the armor sealed.
func response(t *testing.T, key *krbcrypto.Key, pa krbmsg.PAData) (out krbmsg.FastResponse) {
	t.Helper()
	var rep krbmsg.FastArmoredRep
	if err := rep.Parse(pa.Value); pa.Type != krbmsg.PAFXFast || err != nil {
		t.Fatal(pa.Type, err)
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageFASTRep, rep.EncFastRep.Cipher)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Parse(plain); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReply(t *testing.T) {
	a := &Armor{Key: random(t, krbcrypto.ETypeAES256SHA1)}
	long := random(t, krbcrypto.ETypeAES128SHA1)
	strengthen, strong, err := Strengthen(long)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := krbcrypto.CF2(strengthen, long, "strengthenkey", "replykey"); err != nil || !strong.Equal(want) || strong.Equal(long) {
		t.Errorf("strengthened key %v, %v", strong, err)
	}
	encoded, client := []byte("a ticket"), kdctest.Name("A.TEST", "user")
	resp := response(t, a.Key, a.Reply([]krbmsg.PAData{{Type: 19, Value: []byte("y")}}, strengthen, encoded, client, 99, now))
	f := resp.Finished.V
	if resp.Nonce != 99 || len(resp.PAData) != 1 || !bytes.Equal(resp.Strengthen.V.Value, strengthen.Bytes()) ||
		f.Time != kdctest.At || f.Usec != 5 || !f.CName.Equal(client.Name) {
		t.Errorf("%+v", resp)
	}
	if err := a.Key.VerifyChecksum(krbcrypto.UsageFASTFinished, encoded, f.Checksum.Sum); err != nil {
		t.Error(err)
	}
	if err := a.Key.VerifyChecksum(krbcrypto.UsageFASTFinished, []byte("b ticket"), f.Checksum.Sum); err == nil {
		t.Error("the checksum holds for another ticket")
	}
}

// TestErrorData: the armored error holds hints and the true error without its e-data, and the
// caller's list is left alone.
func TestErrorData(t *testing.T) {
	a := &Armor{Key: random(t, krbcrypto.ETypeAES256SHA1)}
	hints := append(make(krbmsg.MethodData, 0, 4), krbmsg.PAData{Type: 138, Value: []byte{}})
	inner := exchange.Refuse(25, "NEEDED_PREAUTH").Message(now, nil, kdctest.Name("A.TEST", "krbtgt", "A.TEST"))
	inner.EData = []byte("not inside")
	var md krbmsg.MethodData
	if err := md.Parse(a.ErrorData(hints, inner, 98)); err != nil || len(md) != 1 {
		t.Fatal(md, err)
	}
	resp := response(t, a.Key, md[0])
	var e krbmsg.KRBError
	if len(resp.PAData) != 2 || resp.PAData[0].Type != 138 || resp.PAData[1].Type != krbmsg.PAFXError || e.Parse(resp.PAData[1].Value) != nil {
		t.Fatalf("%+v", resp)
	}
	if e.Code != 25 || e.EData != nil || resp.Nonce != 98 || resp.Strengthen.Set || resp.Finished.Set {
		t.Errorf("%+v, %+v", e, resp)
	}
	if inner.EData == nil || hints[:2][1].Type != 0 {
		t.Error("the caller's values were changed")
	}
}

func TestRequestChecksum(t *testing.T) {
	key := random(t, krbcrypto.ETypeAES256SHA2)
	pa := RequestChecksum(key, []byte("request"))
	var sum krbmsg.Checksum
	if len(pa) != 2 || pa[0].Type != krbmsg.PAReqEncPARep || pa[1].Type != krbmsg.PAFXFast || sum.Parse(pa[0].Value) != nil {
		t.Fatalf("%+v", pa)
	}
	if err := key.VerifyChecksum(krbcrypto.UsageASReqChecksum, []byte("request"), sum.Sum); err != nil || sum.Type != key.ChecksumType() {
		t.Error(err)
	}
}
