package pac

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"krealm/internal/der"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

const usage = krbcrypto.UsageAppChecksum

// Issue puts a new PAC in front of a ticket's authorization data, which must be complete
// otherwise, as must the ticket. buffers go into the PAC besides the signatures. A ticket for
// a service, as opposed to one for a TGS or kadmin/changepw, also gets the signatures over
// the ticket and the whole PAC.
func Issue(part *krbmsg.EncTicketPart, buffers []Buffer, serverKey, kdcKey *krbcrypto.Key, service bool) {
	server, kdc := blank(serverKey), blank(kdcKey)
	all := slices.Clone(buffers)
	if service {
		// The ticket signature covers the ticket with one zero octet in place of the PAC.
		part.AuthData = slices.Insert(part.AuthData, 0, wrap([]byte{0}))
		sum := blank(kdcKey)
		sum = kdcKey.Checksum(sum[:4], usage, krbmsg.Marshal(part))
		all = append(all, Buffer{Type: TypeTicketChecksum, Data: sum})
	} else {
		part.AuthData = slices.Insert(part.AuthData, 0, krbmsg.AuthDataEntry{})
	}
	all = append(all, Buffer{Type: TypeServerChecksum, Data: server}, Buffer{Type: TypeKDCChecksum, Data: kdc})
	if service {
		all = append(all, Buffer{Type: TypeFullChecksum, Data: blank(kdcKey)})
	}
	p := encode(all)
	if service {
		p.sign(TypeFullChecksum, kdcKey, p.Raw)
	}
	p.sign(TypeServerChecksum, serverKey, p.Raw)
	signed, _ := p.Find(TypeServerChecksum)
	p.sign(TypeKDCChecksum, kdcKey, signed.Data[4:])
	part.AuthData[0] = wrap(p.Raw)
}

// blank is the buffer of a signature that is not made yet: the type, and zeros.
func blank(key *krbcrypto.Key) []byte {
	b := make([]byte, 4+key.ChecksumLen())
	binary.LittleEndian.PutUint32(b, uint32(key.ChecksumType()))
	return b
}

func (p *PAC) sign(bufferType uint32, key *krbcrypto.Key, data []byte) {
	b, err := p.Find(bufferType)
	if err != nil {
		panic("pac: " + err.Error())
	}
	copy(b.Data[4:], key.Checksum(nil, usage, data))
}

// wrap makes AD-IF-RELEVANT around one AD-WIN2K-PAC.
func wrap(raw []byte) krbmsg.AuthDataEntry {
	w := der.NewWriter(len(raw) + 64)
	krbmsg.AuthorizationData{{Type: krbmsg.ADWin2kPAC, Data: raw}}.AppendTo(w)
	return krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: w.Bytes()}
}

// VerifyServer checks the server signature with the key that seals the ticket.
func (p *PAC) VerifyServer(key *krbcrypto.Key) error {
	return p.verify(TypeServerChecksum, []*krbcrypto.Key{key}, p.zeroed(TypeServerChecksum, TypeKDCChecksum))
}

// VerifyKDC checks the two signatures of a PAC in a ticket for kadmin/changepw, which Issue makes
// without those over the ticket and the whole. kdcKeys are as in VerifyService.
func (p *PAC) VerifyKDC(key *krbcrypto.Key, kdcKeys []*krbcrypto.Key) error {
	server, err := p.signature(TypeServerChecksum)
	if err != nil {
		return err
	}
	return errors.Join(p.VerifyServer(key), p.verify(TypeKDCChecksum, kdcKeys, server))
}

// VerifyService checks all signatures of the PAC in a service ticket. kdcKeys are the keys
// that may have made those of the KDC, the current one first.
func (p *PAC) VerifyService(part *krbmsg.EncTicketPart, key *krbcrypto.Key, kdcKeys []*krbcrypto.Key) error {
	around, err := withoutPAC(part)
	if err != nil {
		return err
	}
	return errors.Join(
		p.verify(TypeTicketChecksum, kdcKeys, around),
		p.verify(TypeFullChecksum, kdcKeys, p.zeroed(TypeServerChecksum, TypeKDCChecksum, TypeFullChecksum)),
		p.VerifyKDC(key, kdcKeys),
	)
}

// zeroed returns the encoding with the signatures of the given types set to zero.
func (p *PAC) zeroed(types ...uint32) []byte {
	raw := slices.Clone(p.Raw)
	for _, b := range p.Buffers {
		if slices.Contains(types, b.Type) && len(b.Data) > 4 {
			clear(raw[b.at+4 : b.at+len(b.Data)])
		}
	}
	return raw
}

// signature returns the octets of a signature behind its type.
func (p *PAC) signature(bufferType uint32) ([]byte, error) {
	b, err := p.Find(bufferType)
	if err != nil {
		return nil, err
	}
	if len(b.Data) < 4 {
		return nil, fmt.Errorf("%w: signature %d of %d octets", ErrMalformed, bufferType, len(b.Data))
	}
	return b.Data[4:], nil
}

// verify checks one signature with any of the keys. It must be of the type that belongs to the
// key: no KDC makes another, and weaker ones exist that any key fits. One that fits no key is
// ErrMalformed, as in MIT krb5.
func (p *PAC) verify(bufferType uint32, keys []*krbcrypto.Key, data []byte) error {
	sum, err := p.signature(bufferType)
	if err != nil {
		return err
	}
	b, _ := p.Find(bufferType)
	sumType := int32(binary.LittleEndian.Uint32(b.Data))
	fault := ErrMalformed
	for _, k := range keys {
		// Behind it may stand the number of a read-only domain controller, in two octets.
		if n := len(sum) - k.ChecksumLen(); sumType != k.ChecksumType() || n != 0 && n != 2 {
			continue
		}
		if k.VerifyChecksum(usage, data, sum[:k.ChecksumLen()]) == nil {
			return nil
		}
		fault = ErrSignature
	}
	return fmt.Errorf("%w: signature %d, checksum type %d", fault, bufferType, sumType)
}

// withoutPAC encodes a ticket with one zero octet in place of the PAC.
func withoutPAC(part *krbmsg.EncTicketPart) ([]byte, error) {
	outer, inner, list := Locate(part.AuthData)
	if outer < 0 {
		return nil, ErrMissing
	}
	list[inner].Data = []byte{0}
	w := der.NewWriter(256)
	list.AppendTo(w)
	bare := *part
	bare.AuthData = slices.Clone(part.AuthData)
	bare.AuthData[outer].Data = w.Bytes()
	return krbmsg.Marshal(&bare), nil
}

// KDCKey returns the key for the signatures of the KDC: the realm's own krbtgt key, or, if
// the service asks for another enctype in its string attribute pac_privsvr_enctype, one
// derived from it.
func KDCKey(tgt *krbcrypto.Key, wanted string) (*krbcrypto.Key, error) {
	if wanted == "" {
		return tgt, nil
	}
	e, err := krbcrypto.ParseEnctype(wanted)
	if err != nil {
		return nil, err
	}
	if e == tgt.Enctype() {
		return tgt, nil
	}
	return krbcrypto.KeyFromSeed(e, tgt.PRFPlus([]byte("pac_privsvr"), krbcrypto.SeedBytes(e)))
}
