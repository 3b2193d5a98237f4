package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/control"
	"krealm/internal/daemon/daemontest"
	"krealm/internal/krbcrypto"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/internal/wire"
	"krealm/kdc/kdb"
)

// host lays out a slave's host and makes its configuration this process's.
func host(t *testing.T, krepSection string) (dir string) {
	t.Helper()
	dir = daemontest.Host(t, krepSection)
	daemontest.Write(t, dir, "keytab", daemontest.Keytab(slaveKey, "krep", "kdc2.example.org"))
	return dir
}

var slaveKey = []byte(strings.Repeat("s", 32))

const (
	section  = "  listen = 127.0.0.1:0\n  allow = krep/kdc1.example.org\n  spool = DIR/spool\n  keytab = DIR/keytab\n  control = DIR/control\n"
	masterID = "krep/kdc1.example.org@EXAMPLE.ORG"
	slaveID  = "krep/kdc2.example.org@EXAMPLE.ORG"
)

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCheck(t *testing.T) {
	dir := host(t, section)
	code, out, errs := run("-check", "-listen", "7799", "-listen", "[::1]", "-allow", "krep/a", "-allow", "krep/b@EXAMPLE.ORG")
	if code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{
		"listen = :7799 [::1]:7754 # command line",
		"allow = krep/a@EXAMPLE.ORG krep/b@EXAMPLE.ORG # command line",
		"spool = " + dir + "/spool # " + dir + "/kdc.conf:",
		"delta_file = - # default",
		"database = " + dir + "/principal.sqlite",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if _, err := os.Stat(dir + "/principal.sqlite"); err == nil {
		t.Error("-check has made a database")
	}
}

func TestDefaults(t *testing.T) {
	dir := host(t, "  allow = krep/kdc1\n  keytab = DIR/keytab\n")
	_, out, _ := run("-check")
	for _, want := range []string{"listen = :7754 # default", "spool = " + dir + "/principal.spool # default"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// TestControlOfARelay: krep's control socket is not krepd's where krepd has one of its own.
func TestControlOfARelay(t *testing.T) {
	for relations, want := range map[string]string{
		"  control = DIR/a\n":                          "control = DIR/a #",
		"  control = DIR/a\n  krepd_control = DIR/b\n": "krepd_control = DIR/b #",
		"": "krepd_control = - # default",
	} {
		dir := host(t, "  allow = krep/kdc1\n  keytab = DIR/keytab\n"+relations)
		_, out, errs := run("-check")
		if want = strings.ReplaceAll(want, "DIR", dir); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("lacks %q:\n%s%s", want, out, errs)
		}
	}
	dir := host(t, section+"  krepd_control = DIR/krepd.sock\n")
	if code, _, errs := run("status"); code != exitNoAnswer || !strings.Contains(errs, dir+"/krepd.sock") {
		t.Errorf("status: %d, %s", code, errs)
	}
	ln, err := control.Listen(dir + "/krepd.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if code, _, errs := run(); code != 1 || !strings.Contains(errs, "hint: krep and krepd on one host") {
		t.Errorf("socket taken: %d, %s", code, errs)
	}
}

func TestRefusesToStart(t *testing.T) {
	for _, tt := range []struct {
		name, section string
		spoil         func(t *testing.T, dir string)
		args          []string
		code          int
		want          []string
	}{
		{"nobody allowed", "  keytab = DIR/keytab\n", nil, nil, 1, []string{"krepd: nobody may feed this slave", "krepd: hint: name the master's principal"}},
		{"bad name allowed", section, nil, []string{"-allow", "@"}, 1, []string{`allow "@"`}},
		{"bad address", section, nil, []string{"-listen", "a:b:c"}, 1, []string{`listen "a:b:c"`}},
		{"spool is the delta file", section, nil, []string{"-delta", "DIR/spool"}, 1, []string{"same file"}},
		{"other keytab", section, func(_ *testing.T, d string) {
			_ = os.WriteFile(d+"/keytab", daemontest.Keytab(slaveKey, "host", "x"), 0o600)
		}, nil, 1, []string{"holds no krep/HOST@EXAMPLE.ORG"}},
		{"loose directory", section, func(_ *testing.T, d string) { _ = os.Chmod(d, 0o777) }, nil, 1, []string{"directory of mode 0777"}},
		{"loose spool", section, func(t *testing.T, d string) {
			daemontest.Write(t, d, "spool", nil)
			_ = os.Chmod(d+"/spool", 0o640)
		}, nil, 1, []string{"mode 0640"}},
		{"loose database", section, func(t *testing.T, d string) {
			db, err := kdb.InitSlave(t.Context(), d+"/principal.sqlite", "EXAMPLE.ORG", kdb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_ = db.Close()
			_ = os.Chmod(d+"/principal.sqlite", 0o644)
		}, nil, 1, []string{"mode 0644"}},
		{"a master's database", section, func(t *testing.T, d string) {
			db, err := kdb.Create(t.Context(), d+"/principal.sqlite", "EXAMPLE.ORG", kdb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_ = db.Close()
		}, nil, 1, []string{"database is the master's"}},
		{"of another realm", section, func(t *testing.T, d string) {
			db, err := kdb.InitSlave(t.Context(), d+"/principal.sqlite", "OTHER.ORG", kdb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_ = db.Close()
		}, nil, 1, []string{`of realm "OTHER.ORG"`}},
		{"unknown flag", section, nil, []string{"-x"}, 2, []string{"usage: krepd"}},
		{"unknown command", section, nil, []string{"frobnicate"}, 1, []string{"frobnicate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := host(t, tt.section)
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			for i := range tt.args {
				tt.args[i] = strings.ReplaceAll(tt.args[i], "DIR", dir)
			}
			starts := [][]string{tt.args}
			if !strings.HasPrefix(tt.name, "unknown") {
				starts = append(starts, append([]string{"-check"}, tt.args...)) // says the same
			}
			for _, args := range starts {
				code, _, errs := run(args...)
				if code != tt.code {
					t.Errorf("%v: exit status %d, want %d", args, code, tt.code)
				}
				for _, want := range tt.want {
					if !strings.Contains(errs, want) {
						t.Errorf("%v: lacks %q: %s", args, want, errs)
					}
				}
			}
		})
	}
}

// daemonOf starts the daemon of a host in this process, listening on addr.
func daemonOf(t *testing.T, addr string) (stop func() error) {
	t.Helper()
	return hangUpDaemon(t, addr, nil, io.Discard)
}

// hangUpDaemon is daemonOf with the SIGHUPs and the log of the daemon.
func hangUpDaemon(t *testing.T, addr string, hup <-chan os.Signal, log io.Writer) (stop func() error) {
	t.Helper()
	f := newFlags("krepd", io.Discard, true)
	if err := f.Parse([]string{"-listen", addr}); err != nil {
		t.Fatal(err)
	}
	s, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := newKrepd(t.Context(), s, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, hup, out) }()
	line := make([]byte, 100)
	n, err := ready.Read(line)
	if err != nil || string(line[:n]) != "krepd: starting...\n" {
		t.Fatalf("%q, %v", line[:n], err)
	}
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestStatus(t *testing.T) {
	host(t, section)
	if code, _, errs := run("status"); code != exitNoAnswer || !strings.Contains(errs, "no answer from the daemon") {
		t.Errorf("without a daemon: %d, %s", code, errs)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	stop := daemonOf(t, addr)
	if code, out, _ := run("status"); code != exitUnfed || !strings.Contains(out, "empty") {
		t.Errorf("%d: %s", code, out)
	}

	// A feeder with a ticket under the keytab's key.
	realm := streamtest.NewRealm("EXAMPLE.ORG")
	realm.SetKey(slaveID, must(t, slaveKey))
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := stream.Initiate(t.Context(), nc, realm.Credentials(masterID, slaveID))
	if err != nil {
		t.Fatal(err)
	}
	hello := &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: "EXAMPLE.ORG"}
	if err := c.Send(hello.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); err != nil {
		t.Fatal(err)
	}
	code, out, _ := run("status", "-json")
	var st status
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Feeder == nil || st.Feeder.Principal != masterID || code != exitUnfed {
		t.Errorf("%d, %v: %s", code, err, out)
	}
	if _, out, _ := run("status"); !strings.Contains(out, "feeder  "+masterID+" at 127.0.0.1:") {
		t.Errorf("%s", out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPrintStatus(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printStatus(&out, status{Realm: "EXAMPLE.ORG", State: "broken", Epoch: "5f0c1d2e3a4b5c6d", Spooled: 9, Applied: 7,
		BrokenAt: 8, Reason: "no such policy", Trouble: "disk full", Time: &at})
	want := `realm      EXAMPLE.ORG
state      broken
epoch      5f0c1d2e3a4b5c6d
spooled    9
applied    7
feeder     -
broken at  8: no such policy
trouble    disk full
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, &out)
	}
	out.Reset()
	err = printStatus(&out, status{State: "following", Epoch: "5f0c1d2e3a4b5c6d", Applied: 7, At: &at})
	if want := "applied  7 at " + at.Local().Format(time.DateTime) + "\n"; err != nil || !strings.Contains(out.String(), want) {
		t.Errorf("%v\n%s", err, &out)
	}
}

func must(t *testing.T, key []byte) *krbcrypto.Key {
	t.Helper()
	k, err := krbcrypto.NewKey(krbcrypto.ETypeAES256SHA1, key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
