package kdctest

import (
	"strings"
	"testing"

	"krealm/dumpfmt"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
)

// ModuleRealm is the recorded realm T.TEST, which MIT krb5's test database module made up and which
// has no dump: service/1 may delegate to service/2, service/3 takes delegation from service/1,
// aliasuser is user by another name, refuser and refsvc are in B.TEST.
func ModuleRealm(tb testing.TB) *realm.Realm {
	tb.Helper()
	const at = "@T.TEST"
	db, keys := Load(tb, []byte("kdb5_util load_dump version 7\n")), PublishedKeys(tb)
	for _, k := range kdcfixture.LongTermKeys(tb) {
		if !strings.HasSuffix(k.Principal, at) {
			continue
		}
		p, ok := db.Principal(k.Principal)
		if !ok {
			p = &dumpfmt.Principal{Name: k.Principal}
		}
		p.Keys = append(p.Keys, dumpfmt.Key{Ver: 1, Kvno: uint16(k.Kvno), Enctype: int16(k.Etype), Sealed: []byte{0}})
		db.Put(p)
	}
	for name, target := range map[string]string{"aliasuser": "user" + at, "refuser": "@B.TEST", "refsvc": "@B.TEST"} {
		p := &dumpfmt.Principal{Name: name + at}
		p.SetAliasTarget(target)
		db.Put(p)
	}
	for name, rule := range map[string][2]string{
		"service/1": {"allowed_to_delegate_to", "service/2"}, "service/3": {"allowed_to_delegate_from", "service/1"},
	} {
		db.Change(tb, name+at, func(p *dumpfmt.Principal) {
			if err := p.SetString(rule[0], rule[1]); err != nil {
				tb.Fatal(err)
			}
		})
	}
	return realm.New(Settings("T.TEST"), db, keys)
}
