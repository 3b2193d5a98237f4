package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/daemon/daemontest"
	"krealm/krep/sender"
)

// host lays out a master's host and makes its configuration this process's.
func host(t *testing.T, krepSection string) (dir string) {
	t.Helper()
	dir = daemontest.Host(t, krepSection)
	daemontest.Write(t, dir, "keytab", keytab("krep", "kdc1.example.org"))
	daemontest.Write(t, dir, "slaves", []byte("kdc2.example.org\n"))
	return dir
}

func keytab(components ...string) []byte {
	return daemontest.Keytab([]byte(strings.Repeat("k", 32)), components...)
}

const section = "  delta_file = DIR/delta\n  slave_list = DIR/slaves\n  keytab = DIR/keytab\n  control = DIR/control\n"

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCheck(t *testing.T) {
	dir := host(t, section)
	code, out, errs := run("-check", "-delta", dir+"/other")
	if code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{
		"delta_file = " + dir + "/other # command line",
		"slave_list = " + dir + "/slaves # " + dir + "/kdc.conf:",
		"snapshot_command = - # default",
		"principal = krep/kdc1.example.org@EXAMPLE.ORG # keytab",
		"database = " + dir + "/principal.sqlite",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	for _, tt := range []struct {
		name, section string
		spoil         func(dir string)
		args          []string
		code          int
		want          []string
	}{
		{"no delta file", "  slave_list = DIR/slaves\n", nil, nil, 1, []string{"krep: no delta file given", "krep: hint: set delta_file"}},
		{"no slave list", "  delta_file = DIR/delta\n", nil, nil, 1, []string{"krep: no slave list given", "hint"}},
		{"bad slave list", section, func(d string) { _ = os.WriteFile(d+"/slaves", []byte("ok\na:b:c\n"), 0o600) }, nil, 1, []string{"line 2", "a:b:c"}},
		{"no directory", section, nil, []string{"-delta", "/nowhere/delta"}, 1, []string{"stat /nowhere: no such file"}},
		{"loose directory", section, func(d string) { _ = os.Chmod(d, 0o750) }, nil, 1, []string{"mode 0750", "want 0700"}},
		{"loose delta file", section, func(d string) { _ = os.WriteFile(d+"/delta", nil, 0o644) }, nil, 1, []string{"mode 0644", "want 0600"}},
		{"loose slave list", section, func(d string) { _ = os.Chmod(d+"/slaves", 0o602) }, nil, 1, []string{"mode 0602"}},
		{"loose keytab", section, func(d string) { _ = os.Chmod(d+"/keytab", 0o644) }, nil, 1, []string{"mode 0644"}},
		{"other keytab", section, func(d string) { _ = os.WriteFile(d+"/keytab", keytab("host", "x"), 0o600) }, nil, 1, []string{"krep/HOST@EXAMPLE.ORG"}},
		{"unknown flag", section, nil, []string{"-x"}, 2, []string{"usage: krep"}},
		{"unknown command", section, nil, []string{"frobnicate"}, 1, []string{"frobnicate"}},
		{"argument", section, nil, []string{"-n", "what"}, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := host(t, tt.section)
			if tt.spoil != nil {
				tt.spoil(dir)
			}
			code, _, errs := run(tt.args...)
			if code != tt.code {
				t.Errorf("exit status %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("lacks %q: %s", want, errs)
				}
			}
		})
	}
}

// daemonOf starts the daemon of a host in this process.
func daemonOf(t *testing.T, hup <-chan os.Signal) (*krep, func() error) {
	t.Helper()
	f := newFlags("krep", io.Discard, true)
	if err := f.Parse(nil); err != nil {
		t.Fatal(err)
	}
	s, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.validate()
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKrep(s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- k.run(ctx, list, hup, out) }()
	line := make([]byte, 100)
	n, err := ready.Read(line)
	if err != nil || string(line[:n]) != "krep: starting...\n" {
		t.Fatalf("%q, %v", line[:n], err)
	}
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return k, stop
}

func TestStatusAndCommands(t *testing.T) {
	dir := host(t, section)
	if code, _, errs := run("status"); code != exitNoAnswer || !strings.Contains(errs, "no answer from the daemon") {
		t.Errorf("without a daemon: %d, %s", code, errs)
	}
	for _, args := range [][]string{{"status", "-what"}, {"status", "who"}, {"verify", "-timeout", "-1s"}, {"status", "-r", ""}} {
		if code, _, _ := run(args...); code != exitNoAnswer {
			t.Errorf("%v: %d: nothing was learned, which is 3", args, code)
		}
	}
	if code, _, _ := run("status", "-help"); code != 0 {
		t.Errorf("-help: %d", code)
	}
	hup := make(chan os.Signal)
	_, stop := daemonOf(t, hup)
	code, out, errs := run("status")
	if code != exitLagging || !strings.Contains(out, "there is no delta file \""+dir+"/delta\": a change, or a kdc that runs, makes it, ") ||
		!strings.Contains(out, "the database cannot be read, ") || !strings.Contains(out, "realm EXAMPLE.ORG   epoch - (no delta file yet)") || !strings.Contains(out, "kdc2.example.org  retrying") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	code, out, _ = run("status", "-json", "-control", dir+"/control")
	var st status
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Realm != "EXAMPLE.ORG" || len(st.Slaves) != 1 || code != exitLagging {
		t.Errorf("%d, %v: %s", code, err, out)
	}
	for _, verb := range []string{"pause", "resume", "resync"} {
		if code, out, errs := run(verb, "kdc2.example.org"); code != 0 || out != "kdc2.example.org: "+verb+"\n" {
			t.Errorf("%s: %d, %s%s", verb, code, out, errs)
		}
	}
	if code, _, errs := run("resync", "kdc9"); code != 1 || !strings.Contains(errs, `slave "kdc9" is not on the list`) {
		t.Errorf("%d: %s", code, errs)
	}
	if code, _, _ := run("pause"); code != 2 {
		t.Errorf("pause nobody: %d", code)
	}
	if err := control.Call(t.Context(), dir+"/control", control.Request{Verb: "dance"}, nil); err == nil {
		t.Error("an unknown request was understood")
	}

	// A changed list is taken up, a bad one is not.
	if err := os.WriteFile(dir+"/slaves", []byte("kdc2.example.org\nkdc3.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := func() string {
		_, out, _ := run("status", "-json")
		var st status
		_ = json.Unmarshal([]byte(out), &st)
		var all []string
		for _, s := range st.Slaves {
			all = append(all, s.Name)
		}
		return strings.Join(all, " ")
	}
	await(t, func() bool { return names() == "kdc2.example.org kdc3.example.org" })
	if err := os.WriteFile(dir+"/slaves", []byte("kdc2.example.org\n::: what\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // when the second is taken the first is dealt with
		hup <- syscall.SIGHUP
	}
	if got := names(); got != "kdc2.example.org kdc3.example.org" {
		t.Errorf("after a list that is not understood: %s", got)
	}
	trouble := func(want string) {
		t.Helper()
		if _, out, _ := run("status"); !strings.Contains(out, want) || (want == "") == strings.Contains(out, "is not taken up") {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	trouble("the changed slave list is not taken up, the one before stays: \"" + dir + "/slaves\": slave list: line 2: ")
	if err := os.Remove(dir + "/slaves"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		hup <- syscall.SIGHUP
	}
	if got := names(); got != "kdc2.example.org kdc3.example.org" {
		t.Errorf("after the list has gone: %s", got)
	}
	if err := os.WriteFile(dir+"/slaves", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	settle := time.NewTimer(listSettles + 200*time.Millisecond)
	<-settle.C
	if got := names(); got != "kdc2.example.org kdc3.example.org" {
		t.Errorf("after the list was emptied: %s", got)
	}
	trouble("it is empty: send SIGHUP if that is meant")
	for range 2 {
		hup <- syscall.SIGHUP
	}
	if got := names(); got != "" {
		t.Errorf("after the list was emptied and SIGHUP: %s", got)
	}
	trouble("")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A list that others may write is taken up when that is mended, which changes nothing but its mode; and so is one that could
// not be read for another reason, when it can be.
func TestListIsMended(t *testing.T) {
	dir := host(t, section)
	list := filepath.Join(dir, "slaves")
	k, _ := daemonOf(t, nil)
	says := func(want string) func() bool {
		return func() bool {
			why := k.listTrouble.Load()
			return why != nil && strings.Contains(*why, want)
		}
	}
	good, then := "kdc2.example.org\n", time.Now().Add(-time.Hour)
	write := func(text string) error {
		return errors.Join(os.WriteFile(list, []byte(text), 0o600), os.Chtimes(list, then, then))
	}
	for name, c := range map[string]struct {
		spoil, mend func() error
		says        string
	}{
		"unseen":    {func() error { return write(strings.Repeat(":", len(good)-1) + "\n") }, func() error { return write(good) }, "line 1"},
		"mode":      {func() error { return os.Chmod(list, 0o666) }, func() error { return os.Chmod(list, 0o600) }, "lets everybody write"},
		"directory": {func() error { return os.Rename(list, list+".away") }, func() error { return os.Rename(list+".away", list) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, c.spoil())
			await(t, says(c.says))
			check(t, c.mend())
			await(t, func() bool { return k.listTrouble.Load() == nil })
		})
	}
}

// A list that was in trouble and is now being written, slowly, is not taken up half-way: who is missing from it is not
// off the list, and would need a full copy if the delta file were cut.
func TestListIsMendedSlowly(t *testing.T) {
	dir := host(t, section)
	list := filepath.Join(dir, "slaves")
	text := "kdc2.example.org\nkdc3.example.org\n"
	daemontest.Write(t, dir, "slaves", []byte(text))
	k, _ := daemonOf(t, nil)
	check(t, os.Chmod(list, 0o666))
	await(t, func() bool { return k.listTrouble.Load() != nil })
	check(t, os.Chmod(list, 0o600))
	over := time.NewTimer(listPoll + listPoll/2) // a look at a list in trouble is in between
	defer over.Stop()
	step := time.NewTicker(listSettles / 4)
	defer step.Stop()
	wrote, pause := time.Now(), time.Duration(0)
	for i := 0; ; i++ {
		pause = max(pause, time.Since(wrote))
		wrote = time.Now()
		daemontest.Write(t, dir, "slaves", []byte("kdc2.example.org\n#"+strings.Repeat("x", i%100)))
		select {
		case <-step.C:
			if n := len(k.set.Status()); n != 2 && pause < listSettles { // this machine has not made it look finished
				t.Fatalf("%d slaves while the list is being written", n)
			}
			continue
		case <-over.C:
		}
		break
	}
	daemontest.Write(t, dir, "slaves", []byte(text+"kdc4.example.org\n"))
	await(t, func() bool { return len(k.set.Status()) == 3 && k.listTrouble.Load() == nil })
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatal("never came")
		}
	}
}

// Damage in the delta file ends krep, with file, offset and reason.
func TestDamagedDeltaFile(t *testing.T) {
	dir := host(t, section)
	if err := os.WriteFile(dir+"/delta", []byte("krep load_delta version 1\nwhat is this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFlags("krep", io.Discard, true)
	s, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKrep(s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	var fe *deltafile.FormatError
	if err := k.run(t.Context(), nil, nil, io.Discard); !errors.As(err, &fe) || fe.File != dir+"/delta" || fe.Offset != 26 {
		t.Errorf("%v", err)
	}
}

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	since := ago(6 * time.Minute)
	st := status{Realm: "EXAMPLE.ORG", Epoch: "5f0c1d2e3a4b5c6d", Serial: 48213, DeltaBytes: 1258291, DeltaLimit: 1 << 30, Now: now,
		Slaves: []slaveStatus{
			{Status: sender.Status{Name: "kdc2.example.org", State: "streaming", Epoch: "5f0c1d2e3a4b5c6d", Sent: 48213, Spooled: 48213, Applied: 48213, Since: ago(76 * time.Hour)}},
			{Status: sender.Status{Name: "kdc4.example.org", State: "retrying", Epoch: "5f0c1d2e3a4b5c6d", Sent: 47001, Spooled: 47001, Applied: 46990, Behind: 1223, Since: since, LastError: "dial: connection refused"}, BehindSince: &since},
			{Status: sender.Status{Name: "kdc5.example.org", State: "full", Percent: 41, Since: ago(12 * time.Second)}},
			{Status: sender.Status{Name: "kdc6.example.org", State: "broken", Epoch: "5f0c1d2e3a4b5c6d", Sent: 46000, Spooled: 46000, Applied: 45877, Behind: 2336, Since: ago(2 * time.Hour), LastError: `record 45878: unknown policy "staff"`}},
			{Status: sender.Status{Name: "kdc7.example.org", State: "retrying", Epoch: "0000000000000001", Sent: 7, Spooled: 7, Applied: 7, Since: ago(time.Minute), LastError: "dial: no route", FullDue: "too old"}},
			{Status: sender.Status{Name: "kdc8.example.org", State: "retrying", Epoch: "5f0c1d2e3a4b5c6d", Behind: 48213, Unknown: true, Since: ago(time.Second), LastError: "full copy: a\x1b[31m\nb"}},
		}}
	want := `realm EXAMPLE.ORG   epoch 5f0c1d2e3a4b5c6d   serial 48213   delta file 1.2 MiB (limit 1 GiB)
SLAVE             STATE      SENT   SPOOLED  APPLIED  BEHIND       SINCE  LAST ERROR
kdc2.example.org  streaming  48213  48213    48213    0            3d4h   -
kdc4.example.org  retrying   47001  47001    46990    1223 (6m)    6m     dial: connection refused
kdc5.example.org  full 41%   -      -        -        -            12s    -
kdc6.example.org  broken     46000  46000    45877    2336         2h0m   record 45878: unknown policy "staff"
kdc7.example.org  retrying   7      7        7        other epoch  1m     dial: no route; full copy due: too old
kdc8.example.org  retrying   -      -        -        -            1s     full copy: a?[31m?b
`
	var out bytes.Buffer
	if err := printStatus(&out, st); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &out, want)
	}
	for _, tt := range []struct {
		states []string
		code   int
	}{{nil, 0}, {[]string{"streaming", "full", "connecting"}, 0}, {[]string{"streaming", "retrying"}, 1}, {[]string{"retrying", "broken"}, 2}} {
		var st status
		for _, s := range tt.states {
			st.Slaves = append(st.Slaves, slaveStatus{Status: sender.Status{State: s}})
		}
		if code := exitStatus(st, time.Minute); code != tt.code {
			t.Errorf("%v: %d, want %d", tt.states, code, tt.code)
		}
	}
	again := status{Slaves: []slaveStatus{{Status: sender.Status{State: "connecting", Failures: 1}}}}
	if code := exitStatus(again, time.Minute); code != exitLagging {
		t.Errorf("connecting again to a slave that hangs: %d", code)
	}
	contested := status{Slaves: []slaveStatus{{Status: sender.Status{State: "streaming", Contested: true}}}}
	if code := exitStatus(contested, time.Minute); code != exitLagging {
		t.Errorf("streaming to a slave that another krep feeds: %d", code)
	}
	late := status{Now: now, Slaves: []slaveStatus{{Status: sender.Status{State: "streaming", Behind: 1}, BehindSince: &since}}}
	if a, b := exitStatus(late, time.Minute), exitStatus(late, time.Hour); a != exitLagging || b != exitStreaming {
		t.Errorf("behind for six minutes: %d, %d", a, b)
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 2048: "2 KiB", 1258291: "1.2 MiB", 3 << 30: "3 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	var got []string
	for _, d := range []time.Duration{-1, 59 * time.Second, 90 * time.Second, 61 * time.Minute, 25 * time.Hour} {
		got = append(got, durationText(d))
	}
	if fmt.Sprint(got) != "[0s 59s 1m 1h1m 1d1h]" {
		t.Error(got)
	}
}

// TestPauseOutlivesKrep: a slave stays paused over a restart, and when its list is read again.
func TestPauseOutlivesKrep(t *testing.T) {
	dir := host(t, section)
	state := func() string {
		_, out, _ := run("status", "-json")
		var st status
		if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.Slaves) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		return fmt.Sprint(st.Slaves[0].Paused)
	}
	_, stop := daemonOf(t, make(chan os.Signal))
	if code, _, errs := run("pause", "krep/kdc2.example.org@EXAMPLE.ORG"); code != 0 {
		t.Fatal(errs)
	}
	stop()
	_, stop = daemonOf(t, make(chan os.Signal))
	if got := state(); got != "true" {
		t.Errorf("after a restart: paused %s", got)
	}
	if code, _, errs := run("resume", "kdc2.example.org"); code != 0 {
		t.Fatal(errs)
	}
	stop()
	_, stop = daemonOf(t, make(chan os.Signal))
	if got := state(); got != "false" {
		t.Errorf("resumed, after a restart: paused %s", got)
	}
	if err := os.Mkdir(dir+"/delta.paused.new", 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run("pause", "kdc2.example.org"); code != 1 || !strings.Contains(errs, "list of paused slaves") || state() != "false" {
		t.Errorf("pause that cannot be kept: %d, %s", code, errs)
	}
	stop()
}

// TestSecondKrep: two that follow one delta file exclude one another, also where their control
// sockets differ, and the second says whom to look for.
func TestSecondKrep(t *testing.T) {
	dir := host(t, section)
	_, stop := daemonOf(t, make(chan os.Signal))
	code, _, errs := run("-control", dir+"/other")
	if code != daemon.ExitFail || !strings.Contains(errs, fmt.Sprintf("in use by another process (krep with pid %d, control socket %q)", os.Getpid(), dir+"/control")) {
		t.Errorf("%d: %s", code, errs)
	}
	if _, err := os.Stat(dir + "/other"); err == nil {
		t.Error("the second krep has left a control socket")
	}
	stop()
}

// TestResyncOutlivesKrep: so does what krep was told to do for a slave that was away.
func TestResyncOutlivesKrep(t *testing.T) {
	dir := host(t, section)
	due := func() string {
		_, out, _ := run("status", "-json")
		var st status
		if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.Slaves) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		return st.Slaves[0].FullDue
	}
	const asked = "asked for by the administrator"
	_, stop := daemonOf(t, make(chan os.Signal))
	if code, _, errs := run("resync", "krep/kdc2.example.org@EXAMPLE.ORG"); code != 0 {
		t.Fatal(errs)
	}
	stop()
	k, stop := daemonOf(t, make(chan os.Signal))
	if got := due(); got != asked {
		t.Errorf("after a restart: full copy due: %q", got)
	}
	k.rebuilt("kdc2.example.org", func() bool { return true })
	stop()
	k, stop = daemonOf(t, make(chan os.Signal))
	if got := due(); got != asked {
		t.Errorf("asked for again meanwhile: full copy due: %q", got)
	}
	k.rebuilt("kdc2.example.org", func() bool { return false })
	stop()
	_, stop = daemonOf(t, make(chan os.Signal))
	if got := due(); got != "" {
		t.Errorf("rebuilt: full copy due: %q", got)
	}
	if err := os.Mkdir(dir+"/delta.resync.new", 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run("resync", "kdc2.example.org"); code != 1 || !strings.Contains(errs, "would forget it: list of slaves to be rebuilt") || due() != asked {
		t.Errorf("resync that cannot be kept: %d, %s", code, errs)
	}
	stop()
}
