package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyRealm puts a dump and its stash file from mkey's test data into the test's directory, and
// makes EXAMPLE.COM the realm.
func copyRealm(t *testing.T, base string) {
	t.Helper()
	from, err := filepath.Abs(filepath.Join("..", "mkey", "testdata", base))
	if err != nil {
		t.Fatal(err)
	}
	enterReplay(t)
	for to, suffix := range map[string]string{"realm.dump": ".dump", "stash": ".stash"} {
		b, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	conf := strings.ReplaceAll(replayConf, "KDBU.TEST", "EXAMPLE.COM")
	if err := os.WriteFile("krb5.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expect runs kdb5_util and compares status, output and the beginning of standard error.
func expect(t *testing.T, status int, stdout, stderr string, args ...string) {
	t.Helper()
	got, out, errs := run("", append([]string{"kdb5_util"}, args...)...)
	if got != status || out != stdout || !strings.HasPrefix(errs, stderr) || stderr == "" && errs != "" {
		t.Errorf("%q: %d, %q, %q\nwant %d, %q, %q", args, got, out, errs, status, stdout, stderr)
	}
}

func TestVerify(t *testing.T) {
	copyRealm(t, "mkey/1.20.1/6-purged")
	const finding = "svc/new@EXAMPLE.COM: error: key version 1 (aes256-cts-hmac-sha1-96): no version of the master key opens it\n"
	second := strings.Replace(finding, "aes256", "aes128", 1)
	const sum = "12 principals, 1 policies; 22 of 24 keys and 4 of 4 remembered keys open; 2 errors, 0 warnings\n"
	expect(t, 1, "realm.dump:12: "+finding+"realm.dump:12: "+second+sum, "", "verify", "realm.dump")
	expect(t, 0, "", "", "load", "realm.dump")
	expect(t, 1, finding+second+sum, "", "verify")
	expect(t, 1, finding+second+sum, "", "verify", "-v")

	expect(t, 1, "", "Usage: kdb5_util", "verify", "-x")
	expect(t, 1, "", "Usage: kdb5_util", "verify", "-z")
	expect(t, 1, "", "Usage: kdb5_util", "verify", "realm.dump", "realm.dump")
	expect(t, 1, "", "kdb5_util: No such file or directory while opening none", "verify", "none")
	expect(t, 1, "", "kdb5_util: dump header bad in krb5.conf", "verify", "krb5.conf")
	expect(t, 1, "", "kdb5_util: . is no regular file", "verify", ".")

	if err := os.Remove("stash"); err != nil {
		t.Fatal(err)
	}
	const untried = "12 principals, 1 policies; 24 keys, not tried without a master key; 0 errors, 0 warnings\n"
	expect(t, 1, untried, "kdb5_util: Can not fetch master key", "verify", "realm.dump")
	expect(t, 1, untried, "kdb5_util: Can not fetch master key", "verify")
}

func TestVerifyShowsTheFirst(t *testing.T) {
	copyRealm(t, "basic/created-1.20.1")
	f, err := os.OpenFile("realm.dump", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("nonsense\n", verifyShown+5)); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	_, out, _ := run("", "kdb5_util", "verify", "realm.dump")
	lines := strings.Split(out, "\n")
	if len(lines) != verifyShown+3 || lines[verifyShown] != "... and 5 more; -v shows all" {
		t.Errorf("%d lines:\n%s", len(lines), out)
	}
	if _, out, _ = run("", "kdb5_util", "verify", "-v", "realm.dump"); strings.Count(out, "\n") != verifyShown+6 {
		t.Errorf("-v shows %d lines:\n%s", strings.Count(out, "\n"), out)
	}
}

// TestTabdumpOptions: the tables themselves are tested in kdc/tabdump.
func TestTabdumpOptions(t *testing.T) {
	copyRealm(t, "basic/created-1.20.1")
	expect(t, 0, "", "", "load", "realm.dump")
	const row = "K/M@EXAMPLE.COM\t0\t1\taes256-cts-hmac-sha1-96\tnormal\t"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"keyinfo"}, "name\tkeyindex\tkvno\tenctype\tsalttype\tsalt\n" + row + "-1\n"},
		{[]string{"-H", "-e", "keyinfo"}, row + "\n"},
		{[]string{"keyinfo", "-He"}, row + "\n"},
		{[]string{"-o", "-", "-Hcn", "keyinfo"}, "K/M@EXAMPLE.COM,0,1,18,0,-1\n"},
	} {
		status, out, errs := run("", append([]string{"kdb5_util", "tabdump"}, c.args...)...)
		if status != 0 || !strings.HasPrefix(out, c.want) || errs != "" {
			t.Errorf("%q: %d, %.200q, %q, want %q", c.args, status, out, errs, c.want)
		}
	}
	expect(t, 0, "", "", "tabdump", "-oout", "keyinfo")
	if b, err := os.ReadFile("out"); err != nil || strings.Count(string(b), "\n") != 8 {
		t.Errorf("-o wrote %q, %v", b, err)
	}
	if fi, err := os.Stat("out"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	expect(t, 1, "", "kdb5_util: No such file or directory opening none/out for writing", "tabdump", "-o", "none/out", "keyinfo")
	expect(t, 1, "", "tabdump: invalid option -- 'z'\nUsage: ", "tabdump", "-z", "keyinfo")
	expect(t, 1, "", "tabdump: option requires an argument -- 'o'\nUsage: ", "tabdump", "keyinfo", "-o")
}

func TestHelp(t *testing.T) {
	for _, word := range []string{"-h", "--help", "help"} {
		status, out, errs := run("", "kdb5_util", word)
		if status != 0 || !strings.HasPrefix(out, kdbUtilUsage) || !strings.Contains(out, "verify [-v]") || errs != "" {
			t.Errorf("%s: %d, %q, %q", word, status, out, errs)
		}
	}
}

// TestDamagedDatabase: who has a database that the engine does not understand hears how to go on, and what he hears is right.
func TestDamagedDatabase(t *testing.T) {
	copyRealm(t, "mkey/1.20.1/6-purged")
	expect(t, 0, "", "", "load", "realm.dump")
	files, err := filepath.Glob("*.sqlite")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096 // the first has the schema
	for i := page; i < len(b); i++ {
		b[i] = 0xee
	}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"load", "realm.dump"}, {"dump", "again.dump"}, {"destroy", "-f"}} {
		status, _, errs := run("", append([]string{"kdb5_util"}, args...)...)
		if status != 1 || !strings.Contains(errs, "database file is damaged") || !strings.Contains(errs, files[0]+" away with the -wal and -shm beside it") {
			t.Errorf("%s: %d, %s", args[0], status, errs)
		}
	}
	for _, name := range []string{files[0], files[0] + "-wal", files[0] + "-shm"} {
		if err := os.Rename(name, name+".away"); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	expect(t, 0, "", "", "load", "realm.dump")
}
