package pac

import (
	"errors"
	"slices"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// TestEachSignatureCounts: an attacker who could make one of the signatures hold, by a collision or
// with a service's key, is still refused by the others (section 6.3: every one is checked). Each
// case signs a changed PAC with the right keys but for one signature, which stays the old one.
func TestEachSignatureCounts(t *testing.T) {
	server, kdc := longTerm(t, "svc128@A.TEST"), longTerm(t, "krbtgt/A.TEST@A.TEST")
	issued := func(client string) (*krbmsg.EncTicketPart, *PAC) {
		part := &krbmsg.EncTicketPart{Flags: krbmsg.FlagPreAuth, CRealm: []byte("A.TEST"), CName: krbmsg.NewName(1, client),
			Transited: krbmsg.Transited{Type: 1, Contents: []byte{}}, AuthTime: 1000, EndTime: 2000,
			Key: krbmsg.EncryptionKey{Etype: 18, Value: make([]byte, 32)}}
		info, err := ClientInfo(part.CName, part.AuthTime)
		if err != nil {
			t.Fatal(err)
		}
		Issue(part, []Buffer{{Type: TypeClientInfo, Data: info}}, server, kdc, true)
		p, err := Contained(part.AuthData)
		if err != nil {
			t.Fatal(err)
		}
		return part, p
	}
	_, old := issued("user")
	for _, c := range []struct {
		name string
		keep uint32 // the signature that is not made anew
	}{
		{"none", 0},
		{"over the ticket (CVE-2020-17049)", TypeTicketChecksum},
		{"over the whole PAC (CVE-2022-37967: the others collide)", TypeFullChecksum},
		{"the service's", TypeServerChecksum},
		{"the KDC's", TypeKDCChecksum},
	} {
		part, p := issued("root")
		if c.keep != 0 {
			from, err := old.Find(c.keep)
			if err != nil {
				t.Fatal(err)
			}
			to, _ := p.Find(c.keep)
			copy(to.Data, from.Data)
			for _, kind := range []uint32{TypeFullChecksum, TypeServerChecksum, TypeKDCChecksum} {
				if kind == c.keep {
					continue
				}
				switch kind {
				case TypeFullChecksum:
					p.sign(kind, kdc, p.zeroed(TypeServerChecksum, TypeKDCChecksum, TypeFullChecksum))
				case TypeServerChecksum:
					p.sign(kind, server, p.zeroed(TypeServerChecksum, TypeKDCChecksum))
				case TypeKDCChecksum:
					signed, _ := p.Find(TypeServerChecksum)
					p.sign(kind, kdc, signed.Data[4:])
				}
			}
			part.AuthData = krbmsg.AuthorizationData{wrap(slices.Clone(p.Raw))}
			if p, err = Contained(part.AuthData); err != nil {
				t.Fatal(err)
			}
		}
		err := p.VerifyService(part, server, []*krbcrypto.Key{kdc})
		if c.keep == 0 && err != nil || c.keep != 0 && !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
