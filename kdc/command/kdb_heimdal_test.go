package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// enterHeimdal moves the test into a directory with a realm EXAMPLE.COM and a directory of Heimdal's
// dumps.
func enterHeimdal(t *testing.T) (dumps string) {
	t.Helper()
	dumps, err := filepath.Abs(filepath.Join("..", "..", "dumpfmt", "heimdal", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	enterReplay(t)
	conf := strings.ReplaceAll(replayConf, "KDBU.TEST", "EXAMPLE.COM")
	if err := os.WriteFile("krb5.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return dumps
}

func TestLoadHeimdal(t *testing.T) {
	dumps := enterHeimdal(t)
	native, key := dumps+"/aes/native.dump", dumps+"/aes/m-key"
	expect(t, 1, "", "kdb5_util: Cannot open database './principal': No such file or directory: a Heimdal dump has no master key", "load", native)
	if _, err := os.Stat("principal.sqlite"); err == nil {
		t.Error("a database was made")
	}
	if status, _, errs := run("", "kdb5_util", "create", "-s", "-P", "master"); status != 0 {
		t.Fatal(errs)
	}
	const hint = "kdb5_util: hint: give the file with Heimdal's master key (m-key) with -heimdal_mkey, or make the dump with kadmin -l dump --decrypt\n"
	status, _, errs := run("", "kdb5_util", "load", native)
	if status != 1 || !strings.Contains(errs, "native.dump: line 1: key version 5 (aes256-cts-hmac-sha1-96) of \"bob@EXAMPLE.COM\": sealed by Heimdal's master key\n") ||
		!strings.Contains(errs, hint+"kdb5_util: restore failed, the database is as it was\n") {
		t.Errorf("%d, %s", status, errs)
	}
	expect(t, 1, "", "kdb5_util: "+native+": line 1: key version 5", "load", "-heimdal_mkey", dumps+"/des3/m-key", native)
	expect(t, 1, "", "kdb5_util: stash file: open none: no such file or directory while reading Heimdal's master key", "load", "-heimdal_mkey", "none", native)
	expect(t, 1, "", "Usage: ", "load", "-heimdal_mkey", native)

	const whole = "20 principals, 0 policies; 58 of 58 keys and 0 of 0 remembered keys open; 0 errors, 0 warnings\n"
	expect(t, 0, "", "", "load", "-heimdal_mkey", key, native)
	expect(t, 0, whole, "", "verify")
	expect(t, 0, "", "", "load", "-update", "-heimdal_mkey", key, dumps+"/aes/mit.dump")
	expect(t, 0, whole, "", "verify")
	expect(t, 0, "", "kdb5_util: "+dumps+"/aes/decrypted.dump: line 2: alice@EXAMPLE.COM: left out: old key version 1", "load", "-update", dumps+"/aes/decrypted.dump")
	expect(t, 0, "", "kdb5_util: "+dumps+"/aes/decrypted.dump: line 2: alice@EXAMPLE.COM: left out: old key version 1", "load", dumps+"/aes/decrypted.dump")

	status, out, errs := run("", "kadmin.local", "-q", `getprinc "joe user"`)
	if status != 0 || !strings.Contains(out, "Principal: joe user@EXAMPLE.COM\n") || !strings.Contains(out, "Key: vno 1, aes256-cts-hmac-sha1-96\n") {
		t.Errorf("%d, %s%s", status, out, errs)
	}
}

func TestLoadHeimdalNeedsTheMasterKey(t *testing.T) {
	dumps := enterHeimdal(t)
	if status, _, errs := run("", "kdb5_util", "create", "-P", "master"); status != 0 {
		t.Fatal(errs)
	}
	status, _, errs := run("", "kdb5_util", "load", dumps+"/clear.dump")
	if status != 2 || !strings.HasPrefix(errs, "kdb5_util: Can not fetch master key") || !strings.HasSuffix(errs, "kdb5_util: restore failed, the database is as it was\n") {
		t.Errorf("%d, %s", status, errs)
	}
	expect(t, 0, "", "", "-P", "master", "load", dumps+"/clear.dump")
	expect(t, 1, "", "kdb5_util: dump header bad in "+dumps+"/clear.dump", "load", "-r18", dumps+"/clear.dump")
	expect(t, 1, "", "kdb5_util: dump header bad in krb5.conf", "load", "krb5.conf")
}
