package krbcrypto

import (
	"slices"
	"testing"
)

// TestEnctypeTable is the table of enctypes and checksums: RFC 3961 to 8009, and MIT's defaults.
func TestEnctypeTable(t *testing.T) {
	for _, c := range []struct {
		etype               Enctype
		key, seed           int
		sumType             int32
		sumLen              int
		iterations          uint32
		deprecated, weak    bool
		name, anotherName   string
		confounder, overall int // overhead: confounder and tag
	}{
		{18, 32, 32, 16, 12, 4096, false, false, "aes256-cts-hmac-sha1-96", "aes256-sha1", 16, 28},
		{17, 16, 16, 15, 12, 4096, false, false, "aes128-cts-hmac-sha1-96", "aes128-cts", 16, 28},
		{20, 32, 32, 20, 24, 32768, false, false, "aes256-cts-hmac-sha384-192", "aes256-sha2", 16, 40},
		{19, 16, 16, 19, 16, 32768, false, false, "aes128-cts-hmac-sha256-128", "aes128-sha2", 16, 32},
		{16, 24, 21, 12, 20, 0, true, false, "des3-cbc-sha1", "des3-hmac-sha1", 8, 28},
		{23, 16, 16, -138, 16, 0, true, false, "arcfour-hmac", "rc4-hmac", 8, 24},
		{25, 16, 16, 17, 16, 32768, false, false, "camellia128-cts-cmac", "camellia128-cts", 16, 32},
		{26, 32, 32, 18, 16, 32768, false, false, "camellia256-cts-cmac", "camellia256-cts", 16, 32},
		{24, 16, 16, -138, 16, 0, true, true, "arcfour-hmac-exp", "rc4-hmac-exp", 8, 24},
	} {
		k := randomKey(t, c.etype)
		if len(k.Bytes()) != c.key || SeedBytes(c.etype) != c.seed || k.ChecksumType() != c.sumType || k.ChecksumLen() != c.sumLen || k.Overhead() != c.overall {
			t.Errorf("%v: key %d, seed %d, checksum %d of %d octets, overhead %d", c.etype, len(k.Bytes()), SeedBytes(c.etype), k.ChecksumType(), k.ChecksumLen(), k.Overhead())
		}
		if s := suiteOf(c.etype); s.iterations != c.iterations || s.confounder != c.confounder {
			t.Errorf("%v: %d iterations, confounder of %d", c.etype, s.iterations, s.confounder)
		}
		if e, err := ParseEnctype(c.anotherName); err != nil || e != c.etype || c.etype.String() != c.name || c.etype.Deprecated() != c.deprecated || c.etype.Weak() != c.weak {
			t.Errorf("%v: %v, %v", c.etype, e, err)
		}
	}
	if got := DefaultEnctypes(); !slices.Equal(got, []Enctype{18, 17, 20, 19, 16, 23, 25, 26}) {
		t.Errorf("default list %v", got)
	}
	for _, gone := range []Enctype{1, 2, 3, 6, 8, 0, -135, 999} { // single DES, and what never was
		if Supported(gone) {
			t.Errorf("%v is supported", gone)
		}
	}
}

// TestUsages: the numbers are those of the documents.
func TestUsages(t *testing.T) {
	for want, got := range map[uint32]uint32{
		0: UsageDatabase, 1: UsagePAEncTS, 2: UsageTicket, 3: UsageASRepEncPart, 4: UsageTGSReqADSession, 5: UsageTGSReqADSubkey,
		6: UsageTGSReqAuthCksum, 7: UsageTGSReqAuth, 8: UsageTGSRepSession, 9: UsageTGSRepSubkey, 10: UsageAPReqAuthCksum,
		11: UsageAPReqAuth, 12: UsageAPRepEncPart, 13: UsageKRBPriv, 14: UsageKRBCred, 15: UsageKRBSafe, 16: UsageAppData,
		17: UsageAppChecksum, 22: UsageGSSAcceptorSeal, 23: UsageGSSAcceptorSign, 24: UsageGSSInitiatorSeal, 25: UsageGSSInitiatorSign,
		26: UsageS4UX509Request, 27: UsageS4UX509Reply, 44: UsagePKINITKX, 45: UsageOTPRequest, 50: UsageFASTReqChecksum, 51: UsageFASTEnc,
		52: UsageFASTRep, 53: UsageFASTFinished, 54: UsageECClient, 55: UsageECKDC, 56: UsageASReqChecksum, 64: UsageCAMMAC, 65: UsageSPAKE,
		513: UsageCookie, 514: UsageFreshness,
	} {
		if got != want {
			t.Errorf("%d instead of %d", got, want)
		}
	}
	for usage, want := range map[uint32]uint32{3: 8, 23: 13, 8: 8, 9: 9, 1: 1, 13: 13} {
		if got := rc4Usage(usage); got != want {
			t.Errorf("usage %d becomes %d with rc4, want %d", usage, got, want)
		}
	}
}

// TestRandomness: no two ciphertexts of the same message, no two keys and no confounders are the same.
func TestRandomness(t *testing.T) {
	for _, e := range allEtypes() {
		seen := map[string]bool{}
		k := randomKey(t, e)
		for range 200 {
			for _, s := range []string{string(k.Encrypt(nil, 2, message(64))), string(randomKey(t, e).Bytes())} {
				if seen[s] {
					t.Fatalf("%v: something twice", e)
				}
				seen[s] = true
			}
		}
	}
}
