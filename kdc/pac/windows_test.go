package pac

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdcfixture"
)

// windowsPAC was made by a Windows 2003 domain controller; it is the one that Samba, Heimdal and MIT
// krb5 (src/lib/krb5/krb/t_pac.c) test with, with its two keys.
const windowsPAC = `
040000000000000001000000d8010000 48000000000000000a00000020000000
20020000000000000600000014000000 40020000000000000700000014000000
580200000000000001100800cccccccc c8010000000000000000020030dfa6cb
4f7dc501ffffffffffffff7fffffffff ffffff7fc03c4e596273c501c03c4e59
6273c501ffffffffffffff7f16001600 04000200000000000800020000000000
0c000200000000001000020000000000 14000200000000001800020065000000
ed03000004020000010000001c000200 20000000000000000000000000000000
00000000140016002000020016001800 24000200280002000000000000000000
00210000000000000000000000000000 00000000000000000000000000000000
010000002c0002000000000000000000 000000000b000000000000000b000000
57003200300030003300460049004e00 41004c00240000000000000000000000
00000000000000000000000000000000 00000000000000000000000000000000
00000000000000000000000000000000 00000000010000000402000007000000
0b000000000000000a00000057003200 300030003300460049004e0041004c00
0c000000000000000b00000057004900 4e0032004b0033005400480049004e00
4b000000040000000104000000000005 15000000112fafb590041bec503becdc
01000000300002000700000001000000 01010000000000050900000000000000
806628ea3780c5011600770032003000 30003300660069006e0061006c002400
76ffffff37d5b0f724f0d6d4ec09865a a0e8c3a90000000076ffffffb4d8b8fe
83b3133ffc5c41ade26483e000000000`

// TestWindowsPAC: a PAC that no Kerberos of ours or MIT's made. Its order of buffers, its LOGON_INFO and
// its name with a dollar sign are what comes from an Active Directory.
func TestWindowsPAC(t *testing.T) {
	raw, err := hex.DecodeString(strings.Join(strings.Fields(windowsPAC), ""))
	if err != nil {
		t.Fatal(err)
	}
	kdc := key(t, kdcfixture.Key{Etype: 23, Bytes: unhex(t, "b286757148af7fd252c53603a150b7e7")})
	member := key(t, kdcfixture.Key{Etype: 23, Bytes: unhex(t, "d217faeae5e6b5f95ccc94077ab8a5fc")})
	p, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	var types []uint32
	for _, b := range p.Buffers {
		types = append(types, b.Type)
	}
	if !slices.Equal(types, []uint32{TypeLogonInfo, TypeClientInfo, TypeServerChecksum, TypeKDCChecksum}) {
		t.Errorf("buffers %v", types)
	}
	if err := p.VerifyKDC(member, []*krbcrypto.Key{kdc}); err != nil {
		t.Error(err)
	}
	if err := p.VerifyKDC(member, []*krbcrypto.Key{member}); err == nil {
		t.Error("the KDC's signature verifies with the member's key")
	}
	if err := p.IsFor(krbmsg.NewName(krbmsg.NTPrincipal, "w2003final$"), 1120440609); err != nil {
		t.Error(err)
	}
	info, err := ClientInfo(krbmsg.NewName(krbmsg.NTPrincipal, "w2003final$"), 1120440609)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := p.Find(TypeClientInfo); err != nil || !bytes.Equal(b.Data, info) {
		t.Errorf("client info %x, %v, want %x", b.Data, err, info)
	}
	for i := range raw { // whatever is changed, some signature or the structure tells
		changed := slices.Clone(raw)
		changed[i] ^= 4
		if q, err := Parse(changed); err == nil && q.VerifyKDC(member, []*krbcrypto.Key{kdc}) == nil && !padding(p, i) {
			t.Errorf("octet %d changed and not noticed", i)
		}
	}
}

// padding reports whether an octet lies behind the server's signature inside no buffer: all others
// are signed.
func padding(p *PAC, i int) bool {
	for _, b := range p.Buffers {
		if i >= b.at && i < b.at+len(b.Data) {
			return false
		}
	}
	return i > len(p.Raw)-48
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
