package preauth

import (
	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// Hints is the METHOD-DATA of an error that asks for preauthentication, in MIT krb5's order
// (section 4.3).
func Hints(c *Context) krbmsg.MethodData {
	key := c.Key
	md := krbmsg.MethodData{{Type: krbmsg.PAFXFast, Value: []byte{}}}
	if key != nil {
		if ticket.OnlyOld(c.Body.Etypes) {
			md = append(md, etypeInfo(key))
		}
		md = append(md, etypeInfo2(key))
	}
	cookie := Cookie()
	// Principals that need hardware get no mechanism that is none.
	if key != nil && !c.Client.Has(dumpfmt.AttrRequiresHWAuth) {
		if useSPAKE(c) {
			var hint krbmsg.PAData
			hint, cookie = spakeHint(c)
			md = append(md, hint)
		}
		switch {
		case c.Armor != nil && !c.Realm.NoChallenge:
			md = append(md, krbmsg.PAData{Type: krbmsg.PAEncryptedChal, Value: []byte{}})
		case c.Armor == nil && !c.Realm.NoTimestamp:
			md = append(md, krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: []byte{}})
		}
	}
	return append(md, cookie)
}

// SaltInfo is the padata of an AS reply that tells how the client's key is made from its
// password (section 4.4). It goes with every reply that the client's own key seals.
func SaltInfo(etypes []int32, key *realm.Key) []krbmsg.PAData {
	if !ticket.OnlyOld(etypes) {
		return []krbmsg.PAData{etypeInfo2(key)}
	}
	return []krbmsg.PAData{etypeInfo(key), etypeInfo2(key), {Type: krbmsg.PAPWSalt, Value: key.Salt}}
}

func etypeInfo(key *realm.Key) krbmsg.PAData {
	info := krbmsg.ETypeInfo{{Etype: int32(key.Etype), Salt: key.Salt}}
	return krbmsg.PAData{Type: krbmsg.PAETypeInfo, Value: krbmsg.Marshal(info)}
}

func etypeInfo2(key *realm.Key) krbmsg.PAData {
	info := krbmsg.ETypeInfo2{{Etype: int32(key.Etype), Salt: key.Salt}}
	return krbmsg.PAData{Type: krbmsg.PAETypeInfo2, Value: krbmsg.Marshal(info)}
}
