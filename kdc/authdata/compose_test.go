package authdata_test

import (
	"bytes"
	"slices"
	"testing"

	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
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
		got := authdata.Indicators(&part, tgt)
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
	if got := authdata.Indicators(&part, tgt); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("%q", got)
	}
	for name, change := range map[string]func(p *krbmsg.EncTicketPart){
		"other client":  func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "x") },
		"other flags":   func(p *krbmsg.EncTicketPart) { p.Flags ^= 1 << 30 },
		"other session": func(p *krbmsg.EncTicketPart) { p.Key.Value = make([]byte, 32) },
		"octets changed": func(p *krbmsg.EncTicketPart) {
			i := bytes.IndexByte(p.AuthData[0].Data, 'a')
			p.AuthData[0].Data = slices.Clone(p.AuthData[0].Data)
			p.AuthData[0].Data[i] = 'c'
		},
		"garbage": func(p *krbmsg.EncTicketPart) { p.AuthData[0].Data = []byte{1} },
	} {
		p := part
		p.AuthData = slices.Clone(part.AuthData)
		change(&p)
		if got := authdata.Indicators(&p, tgt); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestHas(t *testing.T) {
	inner := krbmsg.AuthorizationData{{Type: 71}}
	ad := krbmsg.AuthorizationData{{Type: 5}, {Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(inner)}, {Type: krbmsg.ADIfRelevant, Data: []byte{1}}}
	if !authdata.Has(ad, 71) || !authdata.Has(ad, 5) || authdata.Has(ad, 6) {
		t.Error("elements are not found")
	}
}
