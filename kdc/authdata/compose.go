package authdata

import (
	"errors"
	"slices"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
)

// Keys are what signs a ticket's authorization data.
type Keys struct {
	Server  *krbcrypto.Key // that seals the ticket
	TGT     *krbcrypto.Key // the realm's first krbtgt key
	TGTKvno uint32
	PAC     *krbcrypto.Key // for the KDC's signatures in the PAC: usually TGT
}

// Content is what goes into a ticket's authorization data.
type Content struct {
	Carried    krbmsg.AuthorizationData // filtered already
	Indicators []string
	PAC        []pac.Buffer // nil: no PAC
	Service    bool         // the PAC gets the signatures of a service ticket
}

// Compose sets the authorization data of a ticket that is complete otherwise.
func Compose(part *krbmsg.EncTicketPart, c *Content, k *Keys) {
	part.AuthData = nil
	if len(c.Carried) > 0 {
		part.AuthData = slices.Clone(c.Carried)
	}
	if len(c.Indicators) > 0 {
		part.AuthData = append(part.AuthData, cammac(part, c.Indicators, k))
	}
	if c.PAC != nil {
		pac.Issue(part, c.PAC, k.Server, k.PAC, c.Service)
	}
}

// never are the types that only a KDC may put into a ticket, and only afresh.
var never = []int32{krbmsg.ADKDCIssued, krbmsg.ADCAMMAC, krbmsg.ADAuthIndicator, krbmsg.ADWin2kPAC, krbmsg.ADSignedPath}

// maxNested is how deep containers are looked into; a deeper one counts as holding anything.
const maxNested = 4

// Filter drops from authorization data what is not to be copied from a request or a ticket
// into a ticket; a container of such an element is dropped whole (section 6.1).
func Filter(ad krbmsg.AuthorizationData) krbmsg.AuthorizationData {
	var kept krbmsg.AuthorizationData
	for _, e := range ad {
		if !forbidden(e, 0) {
			kept = append(kept, e)
		}
	}
	return kept
}

func forbidden(e krbmsg.AuthDataEntry, depth int) bool {
	if e.Type != krbmsg.ADIfRelevant {
		return slices.Contains(never, e.Type)
	}
	if depth == maxNested {
		return true
	}
	var in krbmsg.AuthorizationData
	if in.Parse(e.Data) != nil {
		return false // not for a KDC to judge: services pass over it
	}
	return slices.ContainsFunc(in, func(x krbmsg.AuthDataEntry) bool { return forbidden(x, depth+1) })
}

// Has reports whether authorization data has an element of a type that is not inside a
// container: one that nobody may pass over.
func Has(ad krbmsg.AuthorizationData, adType int32) bool {
	return slices.ContainsFunc(ad, func(e krbmsg.AuthDataEntry) bool { return e.Type == adType })
}

// Find returns the elements of a type, those inside an AD-IF-RELEVANT too. A container that does
// not decode is an error.
func Find(ad krbmsg.AuthorizationData, adType int32) ([]krbmsg.AuthDataEntry, error) {
	var found []krbmsg.AuthDataEntry
	for _, e := range ad {
		switch e.Type {
		case adType:
			found = append(found, e)
		case krbmsg.ADIfRelevant:
			var in krbmsg.AuthorizationData
			if err := in.Parse(e.Data); err != nil {
				return nil, err
			}
			for _, x := range in {
				if x.Type == adType {
					found = append(found, x)
				}
			}
		}
	}
	return found, nil
}

// cammac makes AD-IF-RELEVANT(AD-CAMMAC) with the indicators (RFC 7751, RFC 8129). The KDC's
// code covers the ticket as it would be with these elements alone, so that they cannot be
// moved to another ticket.
func cammac(part *krbmsg.EncTicketPart, indicators []string, k *Keys) krbmsg.AuthDataEntry {
	elements := krbmsg.AuthorizationData{{
		Type: krbmsg.ADAuthIndicator, Data: krbmsg.Marshal(krbmsg.Indicators(indicators)),
	}}
	c := krbmsg.CAMMAC{
		Elements: elements,
		KDCVerifier: krbmsg.Some(krbmsg.VerifierMAC{
			Kvno: krbmsg.Some(k.TGTKvno),
			MAC:  sum(k.TGT, covered(part, elements)),
		}),
		SvcVerifier: krbmsg.Some(krbmsg.VerifierMAC{MAC: sum(k.Server, krbmsg.Marshal(elements))}),
	}
	inner := krbmsg.AuthorizationData{{Type: krbmsg.ADCAMMAC, Data: krbmsg.Marshal(&c)}}
	return krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(inner)}
}

func sum(k *krbcrypto.Key, data []byte) krbmsg.Checksum {
	return krbmsg.Checksum{Type: k.ChecksumType(), Sum: k.Checksum(nil, krbcrypto.UsageCAMMAC, data)}
}

func covered(part *krbmsg.EncTicketPart, elements krbmsg.AuthorizationData) []byte {
	bare := *part
	bare.AuthData = elements
	return krbmsg.Marshal(&bare)
}

// Indicators returns the authentication indicators of a ticket, those under a code that the
// realm's krbtgt key verifies; others are passed over. What does not decode is an error.
func Indicators(part *krbmsg.EncTicketPart, tgt *realm.Entry) ([]string, error) {
	found, err := Find(part.AuthData, krbmsg.ADCAMMAC)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, x := range found {
		var c krbmsg.CAMMAC
		if err := c.Parse(x.Data); err != nil {
			return nil, err
		}
		if verify(&c, part, tgt) != nil {
			continue
		}
		for _, el := range c.Elements {
			var ind krbmsg.Indicators
			if el.Type != krbmsg.ADAuthIndicator {
				continue
			}
			if err := ind.Parse(el.Data); err != nil {
				return nil, err
			}
			all = append(all, ind...)
		}
	}
	return all, nil
}

// errNoVerifier also stands for a code of another type than the key's own: no KDC makes one, and
// HMAC-MD5, which any key would verify, covers no more than an MD5 digest.
var errNoVerifier = errors.New("no verifier of the KDC")

func verify(c *krbmsg.CAMMAC, part *krbmsg.EncTicketPart, tgt *realm.Entry) error {
	v := c.KDCVerifier
	if !v.Set {
		return errNoVerifier
	}
	k, err := tgt.FirstOf(v.V.Kvno.Or(uint32(tgt.CurrentKvno())))
	if err != nil {
		return err
	}
	key, err := k.Open()
	if err != nil {
		return err
	}
	if v.V.MAC.Type != key.ChecksumType() {
		return errNoVerifier
	}
	return key.VerifyChecksum(krbcrypto.UsageCAMMAC, covered(part, c.Elements), v.V.MAC.Sum)
}
