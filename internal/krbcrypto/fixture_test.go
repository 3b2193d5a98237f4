package krbcrypto_test

import (
	"bytes"
	"encoding/asn1"
	"strings"
	"testing"

	. "krealm/internal/krbcrypto"
	"krealm/tests/kdcfixture"
)

// octets calls f for every OCTET STRING of a DER tree, also for those inside others.
func octets(b []byte, f func([]byte)) {
	for len(b) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(b, &v)
		if err != nil {
			return
		}
		if v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString && !v.IsCompound {
			f(v.Bytes)
			octets(v.Bytes, f)
		} else if v.IsCompound {
			octets(v.Bytes, f)
		}
		b = rest
	}
}

// TestExchanges opens the encrypted parts of recorded conversations between stock clients and
// MIT's KDC: whatever is listed as decrypted must come out of some OCTET STRING with one of
// the keys of its step, and the right usage.
func TestExchanges(t *testing.T) {
	usages := map[string][]uint32{
		"pa_enc_timestamp":        {UsagePAEncTS},
		"enc_kdc_rep_part":        {UsageASRepEncPart, UsageTGSRepSession, UsageTGSRepSubkey},
		"ticket_enc_part":         {UsageTicket},
		"header_ticket_enc_part":  {UsageTicket},
		"armor_ticket_enc_part":   {UsageTicket},
		"authenticator":           {UsageTGSReqAuth},
		"armor_authenticator":     {UsageAPReqAuth},
		"fast_req":                {UsageFASTEnc},
		"fast_response":           {UsageFASTRep},
		"pa_encrypted_challenge":  {UsageECClient},
		"kdc_encrypted_challenge": {UsageECKDC},
	}
	found := make(map[string]int)
	etypes := make(map[Enctype]int)
	for _, sc := range kdcfixture.Scenarios(t) {
		keys := make(map[string]*Key) // armour tickets open with a key of an earlier step
		for i, step := range sc.Steps {
			var boxes [][]byte
			add := func(b []byte) { boxes = append(boxes, b) }
			octets(step.Request, add)
			octets(step.Response, add)
			for _, b := range step.Decrypted {
				octets(b, add)
			}
			for name, k := range step.Keys {
				key, err := NewKey(Enctype(k.Etype), k.Bytes)
				if err != nil {
					t.Fatalf("%s step %d, %s: %v", sc.File, i+1, name, err)
				}
				keys[name] = key
			}
			combined := checkCombined(t, keys, step.Keys)
			if combined != nil {
				keys["kdc_challenge_key"] = combined
			}
			for part, want := range step.Decrypted {
				list, ok := usages[part]
				if !ok {
					if !strings.HasPrefix(part, "spake_") && !strings.HasSuffix(part, "_cookie_plain") {
						t.Errorf("%s step %d: part %q is new", sc.File, i+1, part)
					}
					continue
				}
				k := opens(keys, boxes, list, want)
				if k == nil {
					t.Errorf("%s step %d: %s does not open", sc.File, i+1, part)
					continue
				}
				found[part]++
				etypes[k.Enctype()]++
			}
		}
	}
	for part := range usages {
		if found[part] == 0 {
			t.Errorf("no %s opened", part)
		}
	}
	for _, e := range []Enctype{16, 17, 18, 19, 20, 23, 25, 26} {
		if etypes[e] == 0 {
			t.Errorf("nothing of %v opened", e)
		}
	}
	t.Logf("opened %v", found)
}

// checkCombined checks the keys of FAST that are made from two others (RFC 6113 sections
// 5.4.1.1 and 5.4.6), and returns the one that is not recorded: the KDC's challenge key.
func checkCombined(t *testing.T, keys map[string]*Key, step map[string]kdcfixture.Key) *Key {
	t.Helper()
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := step[n]; !ok {
				return false
			}
		}
		return true
	}
	check := func(want, k1, k2, pepper1, pepper2 string) {
		if !has(want, k1, k2) {
			return
		}
		got, err := CF2(keys[k1], keys[k2], pepper1, pepper2)
		if err != nil || !got.Equal(keys[want]) {
			t.Errorf("%s is not made of %s and %s: %v", want, k1, k2, err)
		}
	}
	check("armor_key", "armor_subkey", "armor_ticket_session_key", "subkeyarmor", "ticketarmor")
	check("armor_key", "authenticator_subkey", "header_session_key", "subkeyarmor", "ticketarmor")
	check("reply_key", "strengthen_key", "authenticator_subkey", "strengthenkey", "replykey")
	check("client_challenge_key", "armor_key", "client_key", "clientchallengearmor", "challengelongterm")
	if !has("client_challenge_key", "armor_key", "client_key") {
		return nil
	}
	k, err := CF2(keys["armor_key"], keys["client_key"], "kdcchallengearmor", "challengelongterm")
	if err != nil {
		t.Error(err)
	}
	return k
}

// opens returns the key that decrypts some box to want.
func opens(keys map[string]*Key, boxes [][]byte, usages []uint32, want []byte) *Key {
	for _, k := range keys {
		for _, box := range boxes {
			for _, u := range usages {
				got, err := k.Decrypt(nil, u, box)
				if err == nil && bytes.HasPrefix(got, want) && len(got)-len(want) < 8 {
					return k
				}
			}
		}
	}
	return nil
}
