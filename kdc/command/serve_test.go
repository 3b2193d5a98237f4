package command

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestServeScripts runs testdata/serve: krb5kdc as an administrator starts and stops it. All
// listen on a port that the system chooses.
func TestServeScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "serve"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("KRB5_CONFIG", filepath.Join(env.WorkDir, "krb5.conf"))
			env.Setenv("KRB5_KDC_PROFILE", filepath.Join(env.WorkDir, "kdc.conf"))
			env.Setenv("TZ", "UTC")
			conf := strings.Replace(scriptConf, "key_stash_file", "kdc_listen = 127.0.0.1:0\n\t\tkey_stash_file", 1)
			return os.WriteFile(filepath.Join(env.WorkDir, "krb5.conf"), []byte(conf), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"signal": signalFile,
			"await":  awaitText,
			"gone":   awaitGone,
		},
	})
}

// signalFile sends a signal to the process whose number is in a file: signal TERM pid.
func signalFile(ts *testscript.TestScript, _ bool, args []string) {
	sig := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT}[args[0]]
	ts.Check(syscall.Kill(pidIn(ts, args[1]), sig))
}

func pidIn(ts *testscript.TestScript, file string) int {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
	ts.Check(err)
	return pid
}

// patience is how long a script waits for another process.
const patience = 20 * time.Second

// until looks again and again until ok.
func until(ts *testscript.TestScript, what string, ok func() bool) {
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			ts.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// awaitText waits until a file has a text: await file text.
func awaitText(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, strings.Join(args, " has "), func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(b), args[1])
	})
}

// awaitGone waits until a file is removed.
func awaitGone(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" is gone", func() bool {
		_, err := os.Stat(ts.MkAbs(args[0]))
		return os.IsNotExist(err)
	})
}

func TestParseServe(t *testing.T) {
	o, err := parseServe(strings.Fields("-p 1000 -d one -r A -m -M K/X -r B -n -w 3 -P pid -T -60 -R x -k aes256-cts -4 y -X -3"))
	if err != nil {
		t.Fatal(err)
	}
	want := []realmOptions{
		{realm: "A", database: "one", listen: "1000"},
		{realm: "B", manual: true, master: "K/X", listen: "1000"},
	}
	if len(o.realms) != 2 || !slices.EqualFunc(o.realms, want, func(a, b realmOptions) bool {
		return a.realm == b.realm && a.database == b.database && a.listen == b.listen && a.manual == b.manual && a.master == b.master
	}) {
		t.Errorf("realms %+v", o.realms)
	}
	if !o.foreground || o.workers != 3 || o.pidFile != "pid" || o.offset != -time.Minute {
		t.Errorf("%+v", o)
	}
	if o, err := parseServe([]string{"-x", "dbname=two", "-n"}); err != nil || o.realms[0].database != "two" || o.realms[0].realm != "" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-w 0", "-w x", "-T x", "-Q", "-r", "-k frob", "-x frob=1"} {
		if o, err := parseServe(strings.Fields(bad)); err == nil {
			t.Errorf("%s: %+v", bad, o)
		}
	}
}

func TestHostSuffixes(t *testing.T) {
	for host, want := range map[string]string{
		"www.Example.COM.": "www.example.com .example.com example.com .com com",
		"localhost":        "localhost",
		"":                 "",
	} {
		if got := strings.Join(hostSuffixes(host), " "); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	if n := len(hostSuffixes(strings.Repeat("a.", 10000))); n > 70 {
		t.Errorf("%d names for a long host", n)
	}
}

func TestListenWords(t *testing.T) {
	got, err := listenWords("88, 127.0.0.1;[::1]:750\t/run/kdc")
	if want := []string{":88", "127.0.0.1:88", "[::1]:750", "/run/kdc"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := listenWords("a b:c:d"); err == nil {
		t.Error("no error")
	}
}
