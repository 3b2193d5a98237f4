package fast

import (
	"errors"
	"time"

	"krealm/dumpfmt"
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

// OpenAS opens the PA-FX-FAST of an AS request; outerBody are the octets of its body. With a
// refusal comes the armor too, if that much could be made out, to protect the error.
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
// PA-TGS-REQ, whose value the checksum covers. subkey is nil if the authenticator has none. Like
// OpenAS it may return an armor with a refusal.
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

// armorKey verifies the AP-REQ of an armor, as a service would, and returns the key it
// establishes. Its ticket must be one for this realm's TGS, issued here or by another realm.
func armorKey(r *realm.Realm, apReq []byte, now time.Time) (*krbcrypto.Key, *exchange.Refusal) {
	if !krbmsg.IsAPReq(apReq) {
		return nil, refuse(krbmsg.ErrMsgType, "armor is no AP-REQ")
	}
	var ap krbmsg.APReq
	if err := ap.Parse(apReq); err != nil {
		return nil, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	name := ap.Ticket.SName
	server, ok := r.Lookup(name, ap.Ticket.Realm)
	if !ok || server.Has(dumpfmt.AttrDisallowSvr) || server.Has(dumpfmt.AttrDisallowAllTix) {
		return nil, refuse(krbmsg.ErrNotUs, "armor ticket is for %s", name.Unparse(ap.Ticket.Realm))
	}
	opened, err := ticket.Open(&ap.Ticket, server)
	if err != nil {
		return nil, exchange.Refuse(openCode(err, &ap.Ticket, server), status).Because(err)
	}
	auth, session, fail := checkAPReq(r, &ap, opened, now)
	if fail != nil {
		return nil, fail
	}
	if !name.Is("krbtgt", r.Name) {
		return nil, refuse(krbmsg.ErrServerNoMatch, "armor ticket is for %s", name.Unparse(ap.Ticket.Realm))
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

// openCode is the code for a ticket that does not open.
func openCode(err error, t *krbmsg.Ticket, server *realm.Entry) int32 {
	if errors.Is(err, ticket.ErrIntegrity) {
		return krbmsg.ErrBadIntegrity
	}
	if _, none := server.FirstOf(t.EncPart.Kvno.V); errors.Is(err, realm.ErrNoKey) && none != nil {
		return krbmsg.ErrBadKeyVer
	}
	return krbmsg.ErrGeneric // a key of that version, but of another type
}

// cipherCode is the code for what does not decrypt: a length that no plaintext has is no matter of
// integrity.
func cipherCode(err error) int32 {
	if errors.Is(err, krbcrypto.ErrLength) {
		return krbmsg.ErrGeneric
	}
	return krbmsg.ErrBadIntegrity
}

// checkAPReq checks ticket and authenticator of an armor in the order of an application server.
func checkAPReq(r *realm.Realm, ap *krbmsg.APReq, opened *ticket.Opened, now time.Time) (*krbmsg.Authenticator, *krbcrypto.Key, *exchange.Refusal) {
	no := func(refusal *exchange.Refusal) (*krbmsg.Authenticator, *krbcrypto.Key, *exchange.Refusal) {
		return nil, nil, refusal
	}
	session, err := r.WireKey(opened.Part.Key)
	if err != nil {
		return no(exchange.Refuse(krbmsg.ErrGeneric, status).Because(err))
	}
	if ap.Authenticator.Etype != int32(session.Enctype()) {
		return no(refuse(krbmsg.ErrGeneric, "authenticator of enctype %d", ap.Authenticator.Etype))
	}
	plain, err := session.Decrypt(nil, krbcrypto.UsageAPReqAuth, ap.Authenticator.Cipher)
	if err != nil {
		return no(exchange.Refuse(cipherCode(err), status).Because(err))
	}
	var auth krbmsg.Authenticator
	if err := auth.Parse(plain); err != nil {
		return no(exchange.Refuse(krbmsg.ErrGeneric, status).Because(err))
	}
	if !auth.CName.Equal(opened.Part.CName) || string(auth.CRealm) != string(opened.Part.CRealm) {
		return no(refuse(krbmsg.ErrBadMatch, "armor authenticator is of %s", auth.CName.Unparse(auth.CRealm)))
	}
	if code, err := ticket.Transited(&opened.Part, string(ap.Ticket.Realm), r.TransitPath); err != nil {
		return no(exchange.Refuse(code, status).Because(err))
	}
	at := now.Unix()
	if code := ticket.Validity(&opened.Part, at, r.ClockSkew); code != 0 {
		return no(refuse(code, "armor ticket of %s", opened.Part.CName.Unparse(opened.Part.CRealm)))
	}
	if d := auth.CTime - at; d > r.ClockSkew || d < -r.ClockSkew {
		return no(refuse(krbmsg.ErrSkew, "armor authenticator is %d s ahead", d))
	}
	if opened.Part.Flags&krbmsg.FlagInvalid != 0 {
		return no(refuse(krbmsg.ErrGeneric, "armor ticket is not validated"))
	}
	return &auth, session, nil
}

// open decrypts the inner request and checks that it belongs to the outer one. The armor is
// never nil.
func open(areq *krbmsg.FastArmoredReq, key *krbcrypto.Key, covered []byte) (*Armor, *exchange.Refusal) {
	a := &Armor{Key: key}
	enc := &areq.EncFastReq
	if enc.Etype != int32(key.Enctype()) {
		return a, refuse(krbmsg.ErrGeneric, "inner request of enctype %d", enc.Etype)
	}
	plain, err := key.Decrypt(nil, krbcrypto.UsageFASTEnc, enc.Cipher)
	if err != nil {
		return a, exchange.Refuse(cipherCode(err), status).Because(err)
	}
	if err := a.Req.Parse(plain); err != nil {
		return a, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	sum := areq.Checksum
	err = krbcrypto.VerifyAny(key, sum.Type, krbcrypto.UsageFASTReqChecksum, covered, sum.Sum)
	switch {
	case errors.Is(err, krbcrypto.ErrUnsupported), errors.Is(err, krbcrypto.ErrLength):
		return a, exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	case err != nil:
		return a, exchange.Refuse(krbmsg.ErrModified, status).Because(err)
	case !krbcrypto.IsKeyed(sum.Type):
		return a, refuse(krbmsg.ErrPolicy, "unkeyed checksum of type %d", sum.Type)
	}
	a.Hide = a.Req.Options&krbmsg.FastHideClientNames != 0
	if a.Req.Options&krbmsg.FastCriticalOptions != 0 {
		return a, refuse(krbmsg.ErrUnknownCriticalFast, "options %08x", a.Req.Options)
	}
	return a, nil
}
