package fast

import (
	"errors"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

const status = "FIND_FAST"

// Armor is an opened FAST request.
type Armor struct {
	Key  *krbcrypto.Key
	Req  krbmsg.FastReq // the request that counts: its body replaces the outer one
	Hide bool           // the client wants its name hidden in what travels unprotected
}

func refuse(code int32, format string, args ...any) *exchange.Refusal {
	return exchange.Refuse(code, status).Becausef(format, args...)
}

// OpenAS opens the PA-FX-FAST of an AS request; outerBody are the octets of its body.
func OpenAS(r *realm.Realm, value, outerBody []byte, now time.Time) (*Armor, *exchange.Refusal) {
	var areq krbmsg.FastArmoredReq
	if err := areq.Parse(value); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	if !areq.Armor.Set || areq.Armor.V.Type != krbmsg.FastArmorAPRequest {
		return nil, refuse(krbmsg.ErrPreauthFailed, "armor missing or of unknown type %d", areq.Armor.V.Type)
	}
	key, fail := armorKey(r, areq.Armor.V.Value, now)
	if fail != nil {
		return nil, fail
	}
	return open(&areq, key, outerBody)
}

// OpenTGS opens the PA-FX-FAST of a TGS request, which is armored with the keys of its
// PA-TGS-REQ, whose value the checksum covers. subkey is nil if the authenticator has none.
func OpenTGS(value, tgsReq []byte, session, subkey *krbcrypto.Key) (*Armor, *exchange.Refusal) {
	var areq krbmsg.FastArmoredReq
	if err := areq.Parse(value); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	switch {
	case areq.Armor.Set:
		return nil, refuse(krbmsg.ErrPreauthFailed, "explicit armor of type %d in a TGS request", areq.Armor.V.Type)
	case subkey == nil:
		return nil, refuse(krbmsg.ErrPreauthFailed, "FAST in a TGS request without a subkey")
	}
	key, err := combine(subkey, session)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	return open(&areq, key, tgsReq)
}

func combine(subkey, session *krbcrypto.Key) (*krbcrypto.Key, error) {
	return krbcrypto.CF2(subkey, session, "subkeyarmor", "ticketarmor")
}

// armorKey verifies the AP-REQ of an armor and returns the key it establishes. Its ticket
// must be one for this realm's TGS, issued here or by another realm.
func armorKey(r *realm.Realm, apReq []byte, now time.Time) (*krbcrypto.Key, *exchange.Refusal) {
	var ap krbmsg.APReq
	if err := ap.Parse(apReq); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	if !ap.Ticket.SName.Is("krbtgt", r.Name) {
		return nil, refuse(krbmsg.ErrServerNoMatch, "armor ticket is for %s", ap.Ticket.SName.Unparse(ap.Ticket.Realm))
	}
	server, ok := r.Lookup(ap.Ticket.SName, ap.Ticket.Realm)
	if !ok {
		return nil, refuse(krbmsg.ErrServerNoMatch, "no entry for armor ticket of %s", ap.Ticket.SName.Unparse(ap.Ticket.Realm))
	}
	opened, err := ticket.Open(&ap.Ticket, server)
	if err != nil {
		code := int32(krbmsg.ErrBadIntegrity)
		if errors.Is(err, realm.ErrNoKey) {
			code = krbmsg.ErrBadKeyVer
		}
		return nil, exchange.Refuse(code, status).Because(err)
	}
	return subkeyOf(r, &ap, opened, now)
}

// subkeyOf checks the authenticator of an armor as an application server would.
func subkeyOf(r *realm.Realm, ap *krbmsg.APReq, opened *ticket.Opened, now time.Time) (*krbcrypto.Key, *exchange.Refusal) {
	session, err := r.WireKey(opened.Part.Key)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	if ap.Authenticator.Etype != int32(session.Enctype()) {
		return nil, refuse(krbmsg.ErrBadIntegrity, "authenticator of enctype %d", ap.Authenticator.Etype)
	}
	plain, err := session.Decrypt(nil, krbcrypto.UsageAPReqAuth, ap.Authenticator.Cipher)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrBadIntegrity, status).Because(err)
	}
	var auth krbmsg.Authenticator
	if err := auth.Parse(plain); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	if !auth.CName.Equal(opened.Part.CName) || string(auth.CRealm) != string(opened.Part.CRealm) {
		return nil, refuse(krbmsg.ErrBadMatch, "armor authenticator is of %s", auth.CName.Unparse(auth.CRealm))
	}
	at := now.Unix()
	if d := auth.CTime - at; d > r.ClockSkew || d < -r.ClockSkew {
		return nil, refuse(krbmsg.ErrSkew, "armor authenticator is %d s ahead", d)
	}
	if code := ticket.Validity(&opened.Part, at, r.ClockSkew); code != 0 {
		return nil, refuse(code, "armor ticket of %s", opened.Part.CName.Unparse(opened.Part.CRealm))
	}
	if opened.Part.Flags&krbmsg.FlagInvalid != 0 {
		return nil, refuse(krbmsg.ErrTktNYV, "armor ticket is not validated")
	}
	if !auth.Subkey.Set {
		return nil, refuse(krbmsg.ErrPolicy, "armor without a subkey")
	}
	subkey, err := r.WireKey(auth.Subkey.V)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	key, err := combine(subkey, session)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	return key, nil
}

// open decrypts the inner request and checks that it belongs to the outer one.
func open(areq *krbmsg.FastArmoredReq, key *krbcrypto.Key, covered []byte) (*Armor, *exchange.Refusal) {
	enc := &areq.EncFastReq
	if enc.Etype != int32(key.Enctype()) {
		return nil, refuse(krbmsg.ErrBadIntegrity, "inner request of enctype %d", enc.Etype)
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageFASTEnc, enc.Cipher)
	if err != nil {
		return nil, exchange.Refuse(krbmsg.ErrBadIntegrity, status).Because(err)
	}
	a := &Armor{Key: key}
	if err := a.Req.Parse(plain); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	sum := areq.Checksum
	if err := krbcrypto.VerifyAny(key, sum.Type, krbcrypto.UsageFASTReqChecksum, covered, sum.Sum); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrModified, status).Because(err)
	}
	if !krbcrypto.IsKeyed(sum.Type) {
		return nil, refuse(krbmsg.ErrPolicy, "unkeyed checksum of type %d", sum.Type)
	}
	if a.Req.Options&krbmsg.FastCriticalOptions != 0 {
		return nil, refuse(krbmsg.ErrUnknownCriticalFast, "options %08x", a.Req.Options)
	}
	a.Hide = a.Req.Options&krbmsg.FastHideClientNames != 0
	return a, nil
}
