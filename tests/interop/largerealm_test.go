package interop

import (
	"bytes"
	"testing"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// TestLargeRealmThroughStock: the realms that the benchmarks are made with are MIT's too: stock
// kdb5_util loads them with their stash file, in any order, and gives them back in the proper one.
func TestLargeRealmThroughStock(t *testing.T) {
	ctx, realm := newRealm(t)
	var proper []byte
	for _, shuffle := range []bool{false, true} {
		large, err := largerealm.New(largerealm.Options{N: 3000, Realm: testrealm.RealmName, Shuffle: shuffle})
		check(t, err)
		var b bytes.Buffer
		check(t, large.WriteDump(ctx, &b))
		if proper == nil {
			proper = b.Bytes()
		}
		mine, theirs := dumpFile(realm.Master, "mine"), dumpFile(realm.Master, "theirs")
		writeFile(t, mine, b.Bytes())
		check(t, large.WriteStash(realm.Master.Stash))
		stock(ctx, t, realm.Master, "kdb5_util", "load", mine)
		stock(ctx, t, realm.Master, "kdb5_util", "dump", theirs)
		identical(t, "dump of stock kdb5_util", readFile(t, theirs), proper)
	}
}
