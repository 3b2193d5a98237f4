package tgs

import (
	"bytes"
	"errors"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/lockout"
	"krealm/kdc/realm"
)

// impersonation is a request of a service for a ticket to itself in the name of a user
// ([MS-SFU], section 5.9).
type impersonation struct {
	user  exchange.Principal
	x509  *krbmsg.S4UX509User // nil if only PA-FOR-USER was sent
	local bool                // the user is of this realm
	entry *realm.Entry        // if local
}

// readS4U2Self is row 7. PA-S4U-X509-USER is preferred to PA-FOR-USER.
func readS4U2Self(s *state) *exchange.Refusal {
	if value, ok := krbmsg.FindPA(s.padata, krbmsg.PAS4UX509User); ok {
		if r := s.readX509User(value); r != nil {
			return r
		}
	} else if value, ok := krbmsg.FindPA(s.padata, krbmsg.PAForUser); ok {
		if r := s.readForUser(value); r != nil {
			return r
		}
	}
	if s.self == nil {
		return nil
	}
	s.self.local = string(s.self.user.Realm) == s.r.Name
	if x := s.self.x509; s.self.local && x != nil && len(x.UserID.Cert) > 0 {
		// As MIT krb5 without a database module that maps certificates, whatever the name.
		return exchange.Refuse(krbmsg.ErrGeneric, "LOOKING_UP_S4U2SELF_PRINCIPAL").Becausef("user by certificate")
	}
	if s.self.local {
		if r := s.findUser(); r != nil {
			return r
		}
	}
	s.out.Event.Delegate = s.self.user.String() // the log names users that may exist
	return nil
}

func (s *state) readForUser(value []byte) *exchange.Refusal {
	var fu krbmsg.ForUser
	if err := fu.Parse(value); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "DECODE_PA_FOR_USER").Because(err)
	}
	const status = "INVALID_S4U2SELF_CHECKSUM"
	if !krbcrypto.IsKeyed(fu.Cksum.Type) {
		return exchange.Refuse(krbmsg.ErrInappCksum, status).Becausef("checksum type %d", fu.Cksum.Type)
	}
	// The session key signs, never the subkey.
	if err := krbcrypto.VerifyAny(s.session, fu.Cksum.Type, krbcrypto.UsageAppChecksum, fu.Covered(), fu.Cksum.Sum); err != nil {
		return exchange.Refuse(modified(err), status).Because(err)
	}
	s.self = &impersonation{user: exchange.Principal{Name: fu.Name, Realm: fu.Realm}}
	return nil
}

func (s *state) readX509User(value []byte) *exchange.Refusal {
	var xu krbmsg.S4UX509User
	if err := xu.Parse(value); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "DECODE_PA_S4U_X509_USER").Because(err)
	}
	const status = "INVALID_S4U2SELF_CHECKSUM"
	id := &xu.UserID
	if id.Nonce != s.body.Nonce {
		return exchange.Refuse(krbmsg.ErrModified, status).Becausef("nonce differs from the request's")
	}
	if !krbcrypto.IsKeyed(xu.Cksum.Type) {
		return exchange.Refuse(krbmsg.ErrInappCksum, status).Becausef("checksum type %d", xu.Cksum.Type)
	}
	key := s.userKey()
	err := krbcrypto.VerifyAny(key, xu.Cksum.Type, krbcrypto.UsageS4UX509Request, xu.RawUser, xu.Cksum.Sum)
	if err != nil {
		err = krbcrypto.VerifyAny(key, xu.Cksum.Type, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(id), xu.Cksum.Sum)
	}
	if err != nil {
		return exchange.Refuse(modified(err), status).Because(err)
	}
	if len(id.Name.V.Parts) == 0 && len(id.Cert) == 0 {
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "INVALID_S4U2SELF_REQUEST").Becausef("neither name nor certificate")
	}
	s.self = &impersonation{user: exchange.Principal{Name: id.Name.V, Realm: id.Realm}, x509: &xu}
	return nil
}

// modified is the code for a checksum that does not verify: one that never could is another
// fault.
func modified(err error) int32 {
	if errors.Is(err, krbcrypto.ErrLength) || errors.Is(err, krbcrypto.ErrUnsupported) {
		return krbmsg.ErrGeneric
	}
	return krbmsg.ErrModified
}

// userKey is the key of the checksums in PA-S4U-X509-USER.
func (s *state) userKey() *krbcrypto.Key {
	if s.subkey != nil {
		return s.subkey
	}
	return s.session
}

// findUser looks up a user of this realm. An enterprise name is the principal that it spells.
func (s *state) findUser() *exchange.Refusal {
	user := s.self.user
	e, ok := s.r.Resolve(user.Name, user.Realm)
	if spelled, enterprise := realm.Enterprise(user.Name, s.r.Name); !ok && enterprise && spelled.Realm == s.r.Name {
		e, ok = s.r.Resolve(krbmsg.NewName(krbmsg.NTPrincipal, spelled.Components...), user.Realm)
	}
	if !ok || e.Foreign {
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "UNKNOWN_S4U2SELF_PRINCIPAL").Becausef("no user %s", user)
	}
	s.self.entry = e
	return nil
}

// checkUser applies the rules of the AS exchange to a user of this realm, except for those
// about the password, which the user does not use.
func (s *state) checkUser() *exchange.Refusal {
	e := s.self.entry
	switch {
	case e.Expire != 0 && int64(e.Expire) < s.now:
		return exchange.Refuse(krbmsg.ErrNameExp, "CLIENT EXPIRED")
	case s.option(krbmsg.OptAllowPostdate|krbmsg.OptPostdated) && e.Has(dumpfmt.AttrDisallowPostdated):
		return exchange.Refuse(krbmsg.ErrCannotPostdate, "POSTDATE NOT ALLOWED")
	case e.Has(dumpfmt.AttrDisallowAllTix):
		return exchange.Refuse(krbmsg.ErrClientRevoked, "CLIENT LOCKED OUT")
	case s.r.RestrictAnon && e.CName.Is("WELLKNOWN", "ANONYMOUS") && !isLocalTGS(s.sname):
		return exchange.Refuse(krbmsg.ErrPolicy, "ANONYMOUS NOT ALLOWED")
	case lockout.Locked(s.r, e, s.now):
		return exchange.Refuse(krbmsg.ErrClientRevoked, "LOCKED_OUT")
	}
	return nil
}

func isLocalTGS(p exchange.Principal) bool {
	return realm.IsTGSName(p.Name) && bytes.Equal(p.Name.Parts[1], p.Realm)
}

// notForSelf are the options that make no sense in such a request.
const notForSelf = modifying | krbmsg.OptEncTktInSkey | krbmsg.OptCNameInAddlTkt

// checkS4U2Self is the part of row 16 that is about impersonation. A service asks its own realm
// for users of that one; for others it asks the user's realm, with a TGT for that, and the
// referrals it gets there lead it back with the user in their PACs.
func (s *state) checkS4U2Self() *exchange.Refusal {
	cross, user := s.crossRealm(), s.self.user
	switch {
	case !s.referral && !s.isClient(s.server, s.client()):
		return exchange.Refuse(krbmsg.ErrBadMatch, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH")
	case s.option(notForSelf):
		return exchange.Refuse(krbmsg.ErrBadOption, "INVALID S4U2SELF OPTIONS")
	case !cross && s.referral:
		return exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "LOOKING_UP_SERVER")
	case cross && s.self.local && !s.referral:
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "NOT_CROSS_REALM_REQUEST")
	case !cross && !s.self.local:
		return exchange.Refuse(krbmsg.ErrPolicy, "S4U2SELF_CLIENT_NOT_OURS")
	case !s.self.local && len(user.Name.Parts) == 0:
		return exchange.Refuse(krbmsg.ErrPolicy, "INVALID_XREALM_S4U2SELF_REQUEST")
	case s.hPAC == nil:
		return exchange.Refuse(krbmsg.ErrTGTRevoked, "S4U2SELF_NO_PAC")
	}
	part := &s.header.Part
	if !s.self.local {
		if err := s.hPAC.IsForRealm(user.Name, user.Realm, part.AuthTime); err != nil {
			return exchange.Refuse(krbmsg.ErrBadOption, "S4U2SELF_FOREIGN_PAC_CLIENT").Because(err)
		}
		return nil
	}
	if err := s.hPAC.IsFor(part.CName, part.AuthTime); err != nil {
		return exchange.Refuse(krbmsg.ErrBadOption, "S4U2SELF_LOCAL_PAC_CLIENT").Because(err)
	}
	return s.checkUser()
}

// selfForwardable reports whether a ticket for impersonation may be forwardable, and so be
// evidence for delegation.
func (s *state) selfForwardable() bool {
	return s.server.Has(dumpfmt.AttrOKToAuthAsDelegate) || s.server.Attr(attrDelegateTo) == ""
}

// selfReply is the padata that confirms the user to the service. Its checksum is of the type that
// came, which had to fit the key.
func (s *state) selfReply() ([]krbmsg.PAData, error) {
	if s.self == nil || s.self.x509 == nil {
		return nil, nil
	}
	in, usage := s.self.x509, krbcrypto.UsageS4UX509Request
	out := krbmsg.S4UX509User{UserID: krbmsg.S4UUserID{
		Nonce: in.UserID.Nonce, Name: krbmsg.Some(s.self.user.Name), Realm: s.self.user.Realm,
	}}
	if o := in.UserID.Options.V & krbmsg.S4UReplyKeyUsage; o != 0 {
		usage, out.UserID.Options = krbcrypto.UsageS4UX509Reply, krbmsg.Some(o)
	}
	key := s.userKey()
	var err error
	out.Cksum.Type = in.Cksum.Type
	if out.Cksum.Sum, err = key.ChecksumAs(out.Cksum.Type, usage, krbmsg.Marshal(out.UserID)); err != nil {
		return nil, err
	}
	if e := key.Enctype(); e == krbcrypto.ETypeRC4 || e == krbcrypto.ETypeDES3 {
		both := append(append([]byte(nil), in.Cksum.Sum...), out.Cksum.Sum...)
		s.encPA = append(s.encPA, krbmsg.PAData{Type: krbmsg.PAS4UX509User, Value: both})
	}
	return []krbmsg.PAData{{Type: krbmsg.PAS4UX509User, Value: krbmsg.Marshal(&out)}}, nil
}
