package kdctest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/kdcfixture"
)

// describeAuthData shows authorization data without what is signed over something random: a PAC by its
// buffers, a CAMMAC by what it holds and how it is signed, anything else octet for octet. Buffers
// of the types in ignored are passed over.
func describeAuthData(t *testing.T, ad krbmsg.AuthorizationData, ignored ...uint32) string {
	t.Helper()
	var out []string
	for _, e := range ad {
		var in krbmsg.AuthorizationData
		if e.Type != krbmsg.ADIfRelevant || in.Parse(e.Data) != nil {
			out = append(out, fmt.Sprintf("%d:%x", e.Type, e.Data))
			continue
		}
		for _, x := range in {
			switch x.Type {
			case krbmsg.ADWin2kPAC:
				out = append(out, "PAC"+describePAC(t, x.Data, ignored))
			case krbmsg.ADCAMMAC:
				out = append(out, "CAMMAC "+describeCAMMAC(t, x.Data))
			default:
				out = append(out, fmt.Sprintf("if-relevant %d:%x", x.Type, x.Data))
			}
		}
	}
	return strings.Join(out, "\n ")
}

// describePAC shows the buffers in the order of their types: the order in the encoding says nothing
// (section 6.3).
func describePAC(t *testing.T, b []byte, ignored []uint32) string {
	t.Helper()
	p, err := pac.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range p.Buffers {
		switch x.Type {
		case pac.TypeServerChecksum, pac.TypeKDCChecksum, pac.TypeTicketChecksum, pac.TypeFullChecksum:
			out = append(out, fmt.Sprintf("\n  %02d: signature of type %d, %d octets", x.Type, int32(binary.LittleEndian.Uint32(x.Data)), len(x.Data)))
		default:
			if !slices.Contains(ignored, x.Type) {
				out = append(out, fmt.Sprintf("\n  %02d: %x", x.Type, x.Data))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

func describeCAMMAC(t *testing.T, b []byte) string {
	t.Helper()
	var c krbmsg.CAMMAC
	if err := c.Parse(b); err != nil {
		t.Fatal(err)
	}
	verifier := func(v krbmsg.Opt[krbmsg.VerifierMAC]) string {
		return fmt.Sprintf("%v version %v type %d, %d octets", v.Set, v.V.Kvno, v.V.MAC.Type, len(v.V.MAC.Sum))
	}
	return fmt.Sprintf("%x KDC %s service %s", krbmsg.Marshal(c.Elements), verifier(c.KDCVerifier), verifier(c.SvcVerifier))
}

// moduleBuffers are what the database module of the realm T.TEST adds to PACs by itself.
var moduleBuffers = []uint32{pac.TypeLogonInfo}

// compareAuthData compares the authorization data of an issued ticket with the recorded one's, and
// verifies the signatures of its PAC, which cannot be the recorded ones.
func compareAuthData(t *testing.T, step kdcfixture.Step, sname krbmsg.PrincipalName, got, want *krbmsg.EncTicketPart) {
	t.Helper()
	var ignored []uint32
	if step.Realm == "T.TEST" {
		ignored = moduleBuffers
	}
	if g, w := describeAuthData(t, got.AuthData), describeAuthData(t, want.AuthData, ignored...); g != w {
		t.Errorf("authorization data\n %s\nwant\n %s", g, w)
	}
	p, err := pac.Contained(got.AuthData)
	if err != nil || p == nil {
		if err != nil {
			t.Error(err)
		}
		return
	}
	server, kdc := stepKey(t, step, "ticket_key"), []*krbcrypto.Key{krbtgtKey(t, step.Realm)}
	switch {
	case bytes.Equal(sname.Parts[0], []byte("krbtgt")), sname.Is("kadmin", "changepw"):
		err = p.VerifyKDC(server, kdc)
	default:
		err = p.VerifyService(got, server, kdc)
	}
	if err != nil {
		t.Errorf("signatures of the PAC: %v", err)
	}
}

// krbtgtKey is the published key that signs for a realm.
func krbtgtKey(t *testing.T, realmName string) *krbcrypto.Key {
	t.Helper()
	for _, k := range kdcfixture.LongTermKeys(t) {
		if k.Principal == "krbtgt/"+realmName+"@"+realmName {
			return NewKey(t, k.Etype, k.Bytes)
		}
	}
	t.Fatalf("no krbtgt key of %s", realmName)
	return nil
}
