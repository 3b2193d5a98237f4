package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/krep/delta"
)

func deltaFixture(name string) string { return filepath.Join("..", "delta", "testdata", name+".delta") }

// runDelta runs krep delta.
func runDelta(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = deltaCommand(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func TestDeltaShow(t *testing.T) {
	status, out, errs := runDelta("", "show", deltaFixture("changes"))
	want := deltaFixture("changes") + `: realm EXAMPLE.COM, epoch 5f0c1d2e3a4b5c6d, from serial 0, 2023-11-14T22:13:20.000000Z
    SERIAL  TIME                         CHANGE
         1  2023-11-14T22:15:00.001000Z  put principal alice@EXAMPLE.COM
         2  2023-11-14T22:15:01.002000Z  delete principal bob@EXAMPLE.COM
         3  2023-11-14T22:15:02.003000Z  put policy staff
         4  2023-11-14T22:15:03.004000Z  put principal caroline@EXAMPLE.COM
                                         delete principal carol@EXAMPLE.COM
         5  2023-11-14T22:15:04.005000Z  delete policy temp
         6  2023-11-14T22:15:05.006000Z  put principal dave@EXAMPLE.COM
`
	if status != 0 || out != want || errs != "" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	status, out, _ = runDelta("", "show", deltaFixture("changes"), "-json", "-after", "3")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 4 {
		t.Fatalf("status %d\n%s", status, out)
	}
	var cs changeset
	if err := json.Unmarshal([]byte(lines[1]), &cs); err != nil {
		t.Fatal(err)
	}
	if cs.Type != "changeset" || cs.Serial != 4 || len(cs.Changes) != 2 || cs.Changes[1] != (change{Op: "delete", Kind: "principal", Name: "carol@EXAMPLE.COM"}) {
		t.Errorf("%+v", cs)
	}
	status, out, errs = runDelta("", "show", deltaFixture("torn-body"))
	if status != 0 || strings.Count(out, "\n") != 8 || !strings.Contains(errs, "not a whole changeset yet") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	status, out, errs = runDelta("", "show", deltaFixture("bad-hash"))
	if status != exitDamaged || !strings.Contains(out, "alice") || !strings.Contains(errs, "offset") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// TestDeltaKeepsSecrets: nothing of a key or of tagged data comes out of the commands that print.
func TestDeltaKeepsSecrets(t *testing.T) {
	text, err := os.ReadFile(deltaFixture("changes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"show"}, {"show", "-json"}, {"check"}} {
		_, out, errs := runDelta("", append(args, deltaFixture("changes"))...)
		for field := range strings.SplitSeq(string(text), "\t") {
			if len(field) > 40 && len(field) != 64 && strings.Contains(out+errs, field) {
				t.Errorf("%v prints %s", args, field)
			}
		}
	}
}

func TestDeltaCheck(t *testing.T) {
	dir := t.TempDir()
	head := filepath.Join(dir, "head")
	if err := os.WriteFile(head, []byte(deltafile.Header), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("kdb5_util load_dump version 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{deltaFixture("changes"), 0, "serial 0 to 6: 6 changesets"},
		{deltaFixture("torn-body"), exitTorn, "incomplete"},
		{deltaFixture("torn-end"), exitTorn, "incomplete"},
		{head, exitTorn, "incomplete"},
		{deltaFixture("bad-hash"), exitDamaged, "damaged at offset"},
		{deltaFixture("gap"), exitDamaged, "good up to serial 2"},
		{deltaFixture("unknown-kind"), exitDamaged, "unknown kind"},
		{other, exitDamaged, "offset 0"},
		{filepath.Join(dir, "none"), exitUnread, "no such file"},
	} {
		status, out, errs := runDelta("", "check", c.path)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", c.path, status, c.status, c.says, out, errs)
		}
		status, out, errs = runDelta("", "check", c.path, "-json")
		var got checked
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != c.status || errs != "" {
			t.Errorf("%s: status %d, want %d; %v\n%s%s", c.path, status, c.status, err, out, errs)
		}
		if want := []string{"good", "incomplete", "damaged", "unread"}[c.status]; got.Verdict != want || (got.Error != "") != (c.status > exitTorn || c.path == head) ||
			(got.At != nil) != (c.status == exitDamaged) || c.status == 0 && (got.To != 6 || got.Sets != 6 || len(got.Hash) != 64) {
			t.Errorf("%s: %s", c.path, out)
		}
	}
	if status, _, _ := runDelta("", "check", "-frob"); status != exitUnread {
		t.Errorf("wrong usage: %d", status)
	}
}

func TestDeltaExport(t *testing.T) {
	dir := t.TempDir()
	out, deletions := filepath.Join(dir, "update.dump"), filepath.Join(dir, "deletions")
	if err := os.WriteFile(out, []byte("of before"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, _, errs := runDelta("", "export", deltaFixture("bad-hash"), "-o", out, "-deletions", deletions)
	if b, err := os.ReadFile(out); status != exitDamaged || err != nil || string(b) != "of before" {
		t.Errorf("of a damaged file: status %d, %q, %v", status, b, err)
	}
	status, stdout, errs2 := runDelta("", "export", deltaFixture("changes"), "-o", out, "-deletions", deletions)
	if status != 0 || stdout != "" || !strings.Contains(errs2, "3 principals, 1 policy line, 3 deletions") {
		t.Errorf("status %d\n%s%s%s", status, stdout, errs, errs2)
	}
	st, err := os.Stat(out)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	dump, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(dump), "kdb5_util load_dump version 7\nprinc\t") {
		t.Errorf("%.60q, %v", dump, err)
	}
	commands, err := os.ReadFile(deletions)
	if want := "delete_principal -force bob@EXAMPLE.COM\ndelete_principal -force carol@EXAMPLE.COM\ndelete_policy -force temp\n"; string(commands) != want || err != nil {
		t.Errorf("%s%v", commands, err)
	}
	status, stdout, errs = runDelta("", "export", deltaFixture("changes"))
	if status != 0 || stdout != string(dump) || !strings.Contains(errs, "hint") {
		t.Errorf("to standard output: status %d, %d bytes\n%s", status, len(stdout), errs)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if status, _, errs := runDelta("", "export", deltaFixture("changes"), "-o", dir); status == 0 || !strings.Contains(errs, "no regular file") {
		t.Errorf("over a directory: status %d\n%s", status, errs)
	}
}

// configure gives the test a krb5.conf whose realm has a delta file in dir.
func configure(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "delta")
	conf := "[libdefaults]\n default_realm = EXAMPLE.COM\n[krep]\n EXAMPLE.COM = {\n  delta_file = " + path + "\n }\n"
	name := filepath.Join(dir, "krb5.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KRB5_CONFIG", name)
	t.Setenv("KRB5_KDC_PROFILE", name)
	return path
}

func TestDeltaAppend(t *testing.T) {
	path := configure(t)
	text, err := os.ReadFile(deltaFixture("changes"))
	if err != nil {
		t.Fatal(err)
	}
	alice := strings.SplitAfter(string(text), "\n")[3]
	status, out, errs := runDelta(alice, "append") // makes the file of the configuration
	if epoch, serial, ok := strings.Cut(strings.TrimSpace(out), " "); status != 0 || !ok || len(epoch) != 16 || serial != "1" {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	t.Setenv("KRB5_CONFIG", "/nonexistent") // a file that is there says its realm itself
	if status, out, errs = runDelta("not read", "append", path, "-delprinc", "bob@EXAMPLE.COM", "-delpolicy", "temp"); status != 0 || !strings.HasSuffix(out, " 2\n") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	if status, out, errs = runDelta(alice+alice, "append", path, "-each", "-i", "-", "-delprinc", "alice@EXAMPLE.COM"); status != 0 || !strings.HasSuffix(out, " 5\n") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for stdin, says := range map[string]string{alice + "frob\n": "line 2", alice[:50]: "line 1", "begin\t1\n": "line 1", "": "nothing to append",
		"kdb5_util load_dump version 7\n": "nothing to append"} {
		if status, _, errs := runDelta(stdin, "append", path); status != 1 || !strings.Contains(errs, says) {
			t.Errorf("status %d, %s, want %s", status, errs, says)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
		t.Errorf("refused lines changed the file: %v", err)
	}
	s, err := delta.Check(path)
	if err != nil || s.Last.Serial != 5 || s.Principals != 3 || s.DeletedPrincipals != 2 || s.DeletedPolicies != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDeltaInit(t *testing.T) {
	path := configure(t)
	_, first, _ := runDelta("", "init")
	_, again, _ := runDelta("", "init")
	if first != again || !strings.HasSuffix(first, " 0\n") {
		t.Errorf("%q, then %q", first, again)
	}
	if status, _, errs := runDelta("", "append", "-r", "EXAMPLE.COM", "-delprinc", "bob"); status != 0 {
		t.Fatal(errs)
	}
	if status, out, errs := runDelta("", "init", "-new-epoch"); status != 0 || out == first || !strings.HasSuffix(out, " 0\n") {
		t.Errorf("status %d, %q, %s", status, out, errs)
	}
	if s, err := delta.Check(path + "." + strings.Fields(first)[0]); err != nil || s.Last.Serial != 1 {
		t.Errorf("the old file: %+v, %v", s, err)
	}
}

// TestDeltaInitHeals: a damaged file is refused by append, kept by init -new-epoch, and followed by a
// good one.
func TestDeltaInitHeals(t *testing.T) {
	path := configure(t)
	damaged, err := os.ReadFile(deltaFixture("bad-hash"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"append", "-delprinc", "bob@EXAMPLE.COM"}, {"init"}} {
		if status, _, errs := runDelta("", args...); status != exitDamaged || !strings.Contains(errs, "offset") {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
	if status, _, errs := runDelta("", "init", "-new-epoch"); status != 0 {
		t.Fatal(errs)
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(kept, damaged) {
		t.Errorf("the damaged file was not kept: %v", err)
	}
	if status, out, errs := runDelta("", "append", "-delprinc", "bob@EXAMPLE.COM"); status != 0 || !strings.HasSuffix(out, " 1\n") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// TestDeltaFollow: appended changes come out, a truncation is not noticed by whoever has read
// everything, a new epoch is news.
func TestDeltaFollow(t *testing.T) {
	path := configure(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		f := &deltaFlags{path: path}
		_ = w.CloseWithError(f.follow(ctx, newPrinter(w, true, 0)))
	})
	dec := json.NewDecoder(r)
	next := func(kind string, serial uint64) {
		t.Helper()
		var n note
		if err := dec.Decode(&n); err != nil || n.Type != kind || n.Serial != serial {
			t.Fatalf("%+v, %v; want %s %d", n, err, kind, serial)
		}
	}
	add := func() {
		t.Helper()
		if status, _, errs := runDelta("", "append", "-delprinc", "bob@EXAMPLE.COM"); status != 0 {
			t.Fatal(errs)
		}
	}
	add() // the file comes after its follower
	next("base", 0)
	next("changeset", 1)
	add()
	next("changeset", 2)
	s, err := delta.Check(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deltafile.Truncate(ctx, path, s.Base.Epoch, 2); err != nil {
		t.Fatal(err)
	}
	add()
	next("changeset", 3)
	if status, _, errs := runDelta("", "init", "-new-epoch"); status != 0 {
		t.Fatal(errs)
	}
	next("epoch", 0)
	add()
	next("changeset", 1)
	cancel()
	wg.Wait()
}

func TestPrinterTurns(t *testing.T) {
	at := deltafile.Initial("EXAMPLE.COM", 1, time.Unix(0, 0))
	later := at
	later.Serial = 7
	for _, c := range []struct {
		err  error
		says string
	}{
		{&deltafile.GapError{After: at, Base: later}, "changes 1 to 7 were cut off"},
		{&deltafile.ForeignError{Have: later, File: later}, "change 7 has another hash"},
		{&deltafile.EpochError{State: at}, "new epoch"},
	} {
		var out bytes.Buffer
		p := newPrinter(&out, false, 0)
		if err := p.turn(c.err); err != nil {
			t.Errorf("%v: %v", c.err, err)
		}
		_ = p.w.Flush()
		if !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: printed %s", c.err, &out)
		}
	}
	if err := newPrinter(new(bytes.Buffer), false, 0).turn(io.ErrUnexpectedEOF); err == nil {
		t.Error("an error was swallowed")
	}
}

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"alice@EXAMPLE.COM": "alice@EXAMPLE.COM", `a\tb`: `a\tb`, "müller": "müller",
		"\x1b[2Jx": `"\x1b[2Jx"`, "m\xfcller": `"m\xfcller"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := printable(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
