package pac

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdcfixture"
)

func key(t testing.TB, k kdcfixture.Key) *krbcrypto.Key {
	t.Helper()
	out, err := krbcrypto.NewKey(krbcrypto.Enctype(k.Etype), k.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func longTerm(t testing.TB, principal string) *krbcrypto.Key {
	t.Helper()
	for _, k := range kdcfixture.LongTermKeys(t) {
		if k.Principal == principal {
			return key(t, kdcfixture.Key{Etype: k.Etype, Bytes: k.Bytes})
		}
	}
	t.Fatalf("no key of %s", principal)
	return nil
}

// recorded walks all recorded tickets with a PAC.
func recorded(t testing.TB, visit func(where string, step kdcfixture.Step, service bool,
	part *krbmsg.EncTicketPart, p *PAC, ticketKey, kdcKey *krbcrypto.Key)) {
	t.Helper()
	for _, s := range kdcfixture.Scenarios(t) {
		for _, step := range s.Steps {
			plain, ok := step.Decrypted["ticket_enc_part"]
			k, haveKey := step.Keys["ticket_key"]
			if !ok || !haveKey || !krbcrypto.Supported(krbcrypto.Enctype(k.Etype)) {
				continue
			}
			var part krbmsg.EncTicketPart
			if err := part.Parse(plain); err != nil {
				t.Fatal(err)
			}
			p, err := Contained(part.AuthData)
			if err != nil {
				t.Fatal(s.File, err)
			}
			if p == nil {
				continue
			}
			var rep krbmsg.KDCRep
			if err := rep.Parse(step.Response); err != nil {
				t.Fatal(err)
			}
			service := !rep.Ticket.SName.Is("kadmin", "changepw") && string(rep.Ticket.SName.Parts[0]) != "krbtgt"
			visit(s.File, step, service, &part, p, key(t, k), longTerm(t, "krbtgt/"+step.Realm+"@"+step.Realm))
		}
	}
}

func TestRecordedSignaturesVerify(t *testing.T) {
	services, tgts := 0, 0
	recorded(t, func(where string, step kdcfixture.Step, service bool, part *krbmsg.EncTicketPart, p *PAC, tk, kk *krbcrypto.Key) {
		if !service {
			tgts++
			if err := p.VerifyServer(tk); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			return
		}
		if strings.Contains(step.KDC, "1.20") {
			return // no full signature yet
		}
		services++
		if err := p.VerifyService(part, tk, []*krbcrypto.Key{tk, kk}); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	})
	if services < 10 || tgts < 10 {
		t.Errorf("only %d service tickets and %d TGTs", services, tgts)
	}
}

// TestIssueIsByteIdentical issues the recorded PACs again.
func TestIssueIsByteIdentical(t *testing.T) {
	n := 0
	recorded(t, func(where string, step kdcfixture.Step, service bool, part *krbmsg.EncTicketPart, p *PAC, tk, kk *krbcrypto.Key) {
		want := krbmsg.Marshal(part)
		if p.Buffers[0].Type != TypeClientInfo || strings.Contains(step.KDC, "1.20") {
			return // delegation and the test module order buffers differently
		}
		outer, _, _ := Locate(part.AuthData)
		part.AuthData = slices.Delete(slices.Clone(part.AuthData), outer, outer+1)
		info, err := ClientInfo(part.CName, part.AuthTime)
		if err != nil {
			t.Fatal(err)
		}
		Issue(part, []Buffer{{Type: TypeClientInfo, Data: info}}, tk, kk, service)
		if got := krbmsg.Marshal(part); !bytes.Equal(got, want) {
			t.Errorf("%s: issued\n %x\nwant\n %x", where, got, want)
		}
		n++
	})
	if n < 20 {
		t.Errorf("only %d PACs", n)
	}
}

// TestEveryBitIsSigned changes each octet of a service ticket's PAC: no change may pass.
func TestEveryBitIsSigned(t *testing.T) {
	step := kdcfixture.Load(t, "tgs-plain").Steps[1]
	tk := key(t, step.Keys["ticket_key"])
	kk := longTerm(t, "krbtgt/A.TEST@A.TEST")
	var part krbmsg.EncTicketPart
	if err := part.Parse(step.Decrypted["ticket_enc_part"]); err != nil {
		t.Fatal(err)
	}
	outer, inner, list := Locate(part.AuthData)
	raw := list[inner].Data
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 0x10
		list[inner].Data = changed
		part.AuthData[outer].Data = krbmsg.Marshal(list)
		p, err := Contained(part.AuthData)
		if err == nil {
			err = p.VerifyService(&part, tk, []*krbcrypto.Key{kk})
		}
		if err == nil {
			t.Errorf("octet %d changed and not noticed", i)
		}
	}
	part.Flags ^= krbmsg.FlagForwardable
	list[inner].Data = raw
	part.AuthData[outer].Data = krbmsg.Marshal(list)
	p, err := Contained(part.AuthData)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.VerifyService(&part, tk, []*krbcrypto.Key{kk}); !errors.Is(err, ErrSignature) {
		t.Errorf("changed ticket: %v", err)
	}
}

// TestChangepwSignatures: a ticket for kadmin/changepw has the KDC's signature, but neither that of
// the ticket nor that of the whole.
func TestChangepwSignatures(t *testing.T) {
	weak, tk, kk := longTerm(t, "svc128@A.TEST"), longTerm(t, "a256@A.TEST"), longTerm(t, "krbtgt/A.TEST@A.TEST")
	for _, c := range []struct {
		name   string
		sealed *krbcrypto.Key
		kdc    *krbcrypto.Key
		want   error
	}{{"good", tk, kk, nil}, {"another KDC", tk, tk, ErrSignature}, {"another server", kk, kk, ErrSignature}, {"another enctype", tk, weak, ErrMalformed}} {
		part := krbmsg.EncTicketPart{CName: krbmsg.NewName(1, "x"), CRealm: []byte("A.TEST")}
		Issue(&part, nil, c.sealed, c.kdc, false)
		p, err := Contained(part.AuthData)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.VerifyKDC(tk, []*krbcrypto.Key{kk}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := p.VerifyService(&part, tk, []*krbcrypto.Key{kk}); !errors.Is(err, ErrMissing) {
			t.Errorf("%s as a service's: %v", c.name, err)
		}
	}
	if err := encode(nil).VerifyKDC(tk, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("unsigned: %v", err)
	}
}

// TestChecksumTypeIsTheKeys: HMAC-MD5 fits any key, and is no signature of an AES key's holder.
func TestChecksumTypeIsTheKeys(t *testing.T) {
	k := longTerm(t, "svc128@A.TEST")
	rc4 := krbcrypto.ETypeRC4
	weak, err := krbcrypto.NewKey(rc4, k.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]*krbcrypto.Key{"own": k, "weak": weak} {
		part := krbmsg.EncTicketPart{CName: krbmsg.NewName(1, "x")}
		Issue(&part, nil, with, with, false)
		p, err := Contained(part.AuthData)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.VerifyServer(k); (err == nil) != (name == "own") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":              nil,
		"short":              {1, 0, 0, 0},
		"version":            {0, 0, 0, 0, 1, 0, 0, 0},
		"buffers beyond end": {1, 0, 0, 0, 0, 0, 0, 0},
		// CVE-2022-42898
		"huge count":     append([]byte{1, 0, 0, 1, 0, 0, 0, 0}, make([]byte, 64)...),
		"offset in head": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 8}, make([]byte, 20)...),
		"offset past end": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0},
			0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"unaligned": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 25}, make([]byte, 20)...),
	} {
		if p, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestClientInfo(t *testing.T) {
	b, err := ClientInfo(krbmsg.NewName(krbmsg.NTPrincipal, "a/b", "é😀"), 0)
	if err != nil || !bytes.Equal(b[8:], []byte{14, 0, 'a', 0, '/', 0, 'b', 0, '/', 0, 0xe9, 0, 0x3d, 0xd8, 0, 0xde}) {
		t.Errorf("%x, %v", b, err)
	}
	if _, err := ClientInfo(krbmsg.NewName(krbmsg.NTPrincipal, "\xff"), 0); err == nil {
		t.Error("a name that is not UTF-8 was encoded")
	}
}

func FuzzParse(f *testing.F) {
	recorded(f, func(_ string, _ kdcfixture.Step, _ bool, _ *krbmsg.EncTicketPart, p *PAC, _, _ *krbcrypto.Key) {
		f.Add(p.Raw)
	})
	k := longTerm(f, "krbtgt/A.TEST@A.TEST")
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		part := krbmsg.EncTicketPart{AuthData: krbmsg.AuthorizationData{wrap(b)}}
		if p.VerifyService(&part, k, []*krbcrypto.Key{k}) == nil {
			t.Log("a PAC verifies") // only the fuzzer's seeds of this key could
		}
	})
}
