package interop

import (
	"bytes"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestMoveFromHeimdal: a realm that Heimdal dumped is loaded into one of ours. Its people log in with
// the stock client and their old passwords, and what we dump of it is the stock programs' too.
func TestMoveFromHeimdal(t *testing.T) {
	ctx, r := newRealm(t)
	h := r.Master
	result, err := ours(ctx, h, "kdb5_util", "-P", "master", "create", "-s")
	succeeds(t, result, err)
	// Of another realm, its salts are not those of the names any more.
	text := bytes.ReplaceAll(readFile(t, "../../dumpfmt/heimdal/testdata/aes/decrypted.dump"), []byte("@EXAMPLE.COM"), []byte("@"+testrealm.RealmName))
	text = bytes.ReplaceAll(text, []byte("krbtgt/EXAMPLE.COM@"), []byte("krbtgt/"+testrealm.RealmName+"@"))
	file := dumpFile(h, "heimdal.dump")
	writeFile(t, file, text)
	result, err = ours(ctx, h, "kdb5_util", "load", file)
	succeeds(t, result, err)
	if !strings.Contains(result.Stderr, "left out: old key version 1") || !strings.Contains(result.Stderr, "left out: alias") {
		t.Errorf("said %s", result.Stderr)
	}
	result, err = ours(ctx, h, "kdb5_util", "verify")
	succeeds(t, result, err)

	must(h.StartKDC(ctx))(t)
	for user, password := range map[string]string{"alice": "pw-alice-3", "bob": "pw-bob", "joe user": "pw-joe", "üser": "pw-utf8", `odd\/na\@me\\x`: "pw-odd"} {
		client := must(h.NewClient("client-"+strings.NewReplacer("/", "", `\`, "", " ", "").Replace(user), testrealm.UDP))(t)
		result, err := client.Kinit(ctx, user, password)
		succeeds(t, result, err)
		result, err = client.Kvno(ctx, "host/www.example.com")
		succeeds(t, result, err)
	}

	mine, theirs := dumpFile(h, "ours.dump"), dumpFile(h, "stock.dump")
	result, err = ours(ctx, h, "kdb5_util", "dump", mine)
	succeeds(t, result, err)
	stock(ctx, t, h, "kdb5_util", "load", mine)
	stock(ctx, t, h, "kdb5_util", "dump", theirs)
	identical(t, "stock dump", readFile(t, theirs), readFile(t, mine))
	for _, query := range []string{"listprincs", "getprinc alice", `getprinc "joe user"`} {
		result, err := ours(ctx, h, "kadmin.local", "-q", query)
		got := succeeds(t, result, err)
		if want := stock(ctx, t, h, "kadmin.local", "-q", query); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", query, got, want)
		}
	}
}
