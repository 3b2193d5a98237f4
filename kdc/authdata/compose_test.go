package authdata_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"slices"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// TestRecordedCAMMAC reads the indicators of recorded tickets and makes the same CAMMAC again.
func TestRecordedCAMMAC(t *testing.T) {
	r, _, _ := kdctest.Realm(t, "A.TEST")
	tgt, _ := r.LocalTGT()
	found := 0
	for _, step := range kdcfixture.Load(t, "fast-encrypted-challenge").Steps {
		plain, ok := step.Decrypted["ticket_enc_part"]
		if !ok {
			continue
		}
		var part krbmsg.EncTicketPart
		if err := part.Parse(plain); err != nil {
			t.Fatal(err)
		}
		got := indicators(t, &part, tgt)
		if len(part.AuthData) < 2 {
			if got != nil {
				t.Errorf("indicators %q out of nothing", got)
			}
			continue
		}
		found++
		if !slices.Equal(got, []string{"ec"}) {
			t.Errorf("indicators %q", got)
		}
		want := part.AuthData[len(part.AuthData)-1].Data
		k := kdctest.NewKey(t, step.Keys["ticket_key"].Etype, step.Keys["ticket_key"].Bytes)
		again := part
		home := kdctest.Key(t, r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"))
		authdata.Compose(&again, &authdata.Content{Indicators: got}, &authdata.Keys{Server: k, TGT: home, TGTKvno: 1, PAC: home})
		if len(again.AuthData) != 1 || !bytes.Equal(again.AuthData[0].Data, want) {
			t.Errorf("CAMMAC\n %x\nwant\n %x", again.AuthData[0].Data, want)
		}
	}
	if found < 2 {
		t.Errorf("%d tickets with a CAMMAC", found)
	}
}

// TestIndicatorsAreBound: moved to another ticket, or changed, they are passed over.
func TestIndicatorsAreBound(t *testing.T) {
	r, _, _ := kdctest.Realm(t, "A.TEST")
	tgt, _ := r.LocalTGT()
	key := kdctest.Key(t, r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"))
	part := kdctest.Forge(t, r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil).Part
	authdata.Compose(&part, &authdata.Content{Indicators: []string{"a", "b"}}, &authdata.Keys{Server: key, TGT: key, TGTKvno: 1, PAC: key})
	if got := indicators(t, &part, tgt); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("%q", got)
	}
	for name, change := range map[string]func(p *krbmsg.EncTicketPart){
		"other client":  func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "x") },
		"other flags":   func(p *krbmsg.EncTicketPart) { p.Flags ^= 1 << 30 },
		"other session": func(p *krbmsg.EncTicketPart) { p.Key.Value = make([]byte, 32) },
		"other indicators": func(p *krbmsg.EncTicketPart) {
			resign(t, p, func(c *krbmsg.CAMMAC, _ []byte) {
				c.Elements = krbmsg.AuthorizationData{{Type: krbmsg.ADAuthIndicator, Data: krbmsg.Marshal(krbmsg.Indicators{"c", "b"})}}
			})
		},
		"code of a type that any key verifies (CVE-2022-37967)": func(p *krbmsg.EncTicketPart) {
			resign(t, p, func(c *krbmsg.CAMMAC, covered []byte) {
				c.KDCVerifier.V.MAC = krbmsg.Checksum{Type: krbcrypto.SumHMACMD5, Sum: hmacMD5(key, covered)}
			})
		},
		"code without a key (CVE-2010-1323)": func(p *krbmsg.EncTicketPart) {
			resign(t, p, func(c *krbmsg.CAMMAC, covered []byte) {
				sum := md5.Sum(covered)
				c.KDCVerifier.V.MAC = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: sum[:]}
			})
		},
		"no code of the KDC": func(p *krbmsg.EncTicketPart) {
			resign(t, p, func(c *krbmsg.CAMMAC, _ []byte) { c.KDCVerifier.Set = false })
		},
		"code of a key version that is gone": func(p *krbmsg.EncTicketPart) {
			resign(t, p, func(c *krbmsg.CAMMAC, _ []byte) { c.KDCVerifier.V.Kvno = krbmsg.Some[uint32](9) })
		},
	} {
		p := part
		p.AuthData = slices.Clone(part.AuthData)
		change(&p)
		if got := indicators(t, &p, tgt); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func indicators(t *testing.T, part *krbmsg.EncTicketPart, tgt *realm.Entry) []string {
	t.Helper()
	list, err := authdata.Indicators(part, tgt)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// resign changes the CAMMAC of a ticket; covered is what the code of the KDC is over.
func resign(t *testing.T, p *krbmsg.EncTicketPart, change func(c *krbmsg.CAMMAC, covered []byte)) {
	t.Helper()
	found, err := authdata.Find(p.AuthData, krbmsg.ADCAMMAC)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	var c krbmsg.CAMMAC
	if err := c.Parse(found[0].Data); err != nil {
		t.Fatal(err)
	}
	bare := *p
	bare.AuthData = c.Elements
	change(&c, krbmsg.Marshal(&bare))
	p.AuthData[0].Data = krbmsg.Marshal(krbmsg.AuthorizationData{{Type: krbmsg.ADCAMMAC, Data: krbmsg.Marshal(&c)}})
}

// hmacMD5 is checksum type -138 with a key of any type.
func hmacMD5(k *krbcrypto.Key, data []byte) []byte {
	mac := func(key, data []byte) []byte {
		h := hmac.New(md5.New, key)
		h.Write(data)
		return h.Sum(nil)
	}
	digest := md5.Sum(append([]byte{byte(krbcrypto.UsageCAMMAC), 0, 0, 0}, data...))
	return mac(mac(k.Bytes(), []byte("signaturekey\x00")), digest[:])
}

// TestUndecodableIndicators: what stands where a CAMMAC should be, and is none, is an error (row
// 10 of section 5.1).
func TestUndecodableIndicators(t *testing.T) {
	r, _, _ := kdctest.Realm(t, "A.TEST")
	tgt, _ := r.LocalTGT()
	relevant := func(e krbmsg.AuthDataEntry) krbmsg.AuthorizationData {
		return krbmsg.AuthorizationData{{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(krbmsg.AuthorizationData{e})}}
	}
	for name, ad := range map[string]krbmsg.AuthorizationData{
		"container":          {{Type: krbmsg.ADIfRelevant, Data: []byte{1}}},
		"CAMMAC":             relevant(krbmsg.AuthDataEntry{Type: krbmsg.ADCAMMAC, Data: []byte{1}}),
		"CAMMAC in the open": {{Type: krbmsg.ADCAMMAC, Data: []byte{1}}},
	} {
		if got, err := authdata.Indicators(&krbmsg.EncTicketPart{AuthData: ad}, tgt); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestFind: Has sees what is not in a container, Find that too.
func TestFind(t *testing.T) {
	inner := krbmsg.AuthorizationData{{Type: 71}}
	ad := krbmsg.AuthorizationData{{Type: 5}, {Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(inner)}}
	for want, n := range map[int32]int{71: 1, 5: 1, 6: 0} {
		if found, err := authdata.Find(ad, want); err != nil || len(found) != n {
			t.Errorf("type %d: %v, %v", want, found, err)
		}
	}
	if authdata.Has(ad, 71) || !authdata.Has(ad, 5) || authdata.Has(ad, 6) {
		t.Error("Has looks into containers")
	}
	if _, err := authdata.Find(append(ad, krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: []byte{1}}), 5); err == nil {
		t.Error("a broken container was passed over")
	}
}
