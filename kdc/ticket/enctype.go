package ticket

import (
	"slices"

	"krealm/internal/krbcrypto"
	"krealm/kdc/realm"
)

// SessionEtype chooses the enctype of a session key: the first of the client's list that may
// be used and that the server supports (section 3.2). The list's order governs, not strength.
func SessionEtype(s *realm.Settings, etypes []int32, server *realm.Entry) (krbcrypto.Enctype, bool) {
	var only []krbcrypto.Enctype
	if list := server.Attr("session_enctypes"); list != "" {
		only, _ = krbcrypto.ParseEnctypeList(list) // unknown words are passed over
	}
	for _, n := range etypes {
		e := krbcrypto.Enctype(n)
		if s.AllowsSession(e) && supports(server, e, only) {
			return e, true
		}
	}
	return 0, false
}

// supports reports whether a server can take session keys of type e. A list given to it by an
// administrator decides alone; otherwise aes256-sha1 is assumed, and any type it has a key of.
func supports(server *realm.Entry, e krbcrypto.Enctype, only []krbcrypto.Enctype) bool {
	if len(only) > 0 {
		return slices.Contains(only, e)
	}
	return e == krbcrypto.ETypeAES256SHA1 ||
		slices.ContainsFunc(server.Current(), func(k *realm.Key) bool { return k.Etype == e })
}

// OnlyOld reports whether a client's list has no enctype newer than des3 and rc4: it then
// needs the older forms of salt information (section 4.3).
func OnlyOld(etypes []int32) bool {
	return !slices.ContainsFunc(etypes, func(n int32) bool {
		e := krbcrypto.Enctype(n)
		return e.Known() && !e.Deprecated()
	})
}
