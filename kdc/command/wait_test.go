package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/quorum"
	"krealm/kdc/kdb"
)

func TestWaitOptions(t *testing.T) {
	const spec = "x:r:p:knq:w:d:s:mc:t:e:ON"
	for _, c := range []struct {
		args, rest string
		want       string // "": not given
		timeout    time.Duration
		err        string
	}{
		{"-q listprincs", "-q listprincs", "", 0, ""},
		{"-wait all -q x", "-q x", "all", 0, ""},
		{"-r R -wait quorum -wait-timeout 250ms -p me cpw -wait all", "-r R -p me cpw -wait all", "quorum", 250 * time.Millisecond, ""},
		{"-wait-timeout 0:01:30 -kr R -wait 2 listprincs", "-kr R listprincs", "2", 90 * time.Second, ""},
		{"-w -wait -wait none", "-w -wait", "none", 0, ""}, // a password
		{"-q -wait", "-q -wait", "", 0, ""},
		{"-- -wait all", "-- -wait all", "", 0, ""},
		{"-q", "-q", "", 0, ""},
		{"-wait", "", "", 0, "requires an argument -- 'wait'"},
		{"-wait most", "", "", 0, "want all, quorum, none or a number"},
		{"-wait-timeout soon", "", "", 0, "want a duration"},
		{"-wait-timeout 0", "", "", 0, "want a duration"},
		{"-wait-timeout 48h", "", "", 0, "want a duration"},
	} {
		var w waitOptions
		rest, err := w.take(strings.Fields(c.args), spec)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.args, err, c.err)
			}
			continue
		}
		got := ""
		if w.want != nil {
			got = w.want.String()
		}
		if err != nil || !slices.Equal(rest, strings.Fields(c.rest)) || got != c.want || w.timeout != c.timeout {
			t.Errorf("%q: rest %q, want %q, timeout %v, %v", c.args, rest, got, w.timeout, err)
		}
	}
}

// fakeKrep answers on the control socket of a new realm, in the present directory.
func fakeKrep(t *testing.T, conf string, answer func(args map[string]string) (any, error)) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"krb5.conf": scriptConf, "kdc.conf": conf} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(map[string]string{"krb5.conf": "KRB5_CONFIG", "kdc.conf": "KRB5_KDC_PROFILE"}[name], path)
	}
	if status, _, stderr := runProgram(KDBUtil, "create", "-s", "-P", "master"); status != 0 {
		t.Fatal(stderr)
	}
	if answer == nil {
		return
	}
	ln, err := control.Listen("krep.sock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, ln, func(_ context.Context, r control.Request) (any, error) {
			if r.Verb != quorum.Verb {
				t.Errorf("asked for %q", r.Verb)
			}
			return answer(r.Args)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func runProgram(program func(args []string, stdin io.Reader, stdout, stderr io.Writer) int, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = program(args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

const waitConf = "[krep]\n\tcontrol = krep.sock\n\tEXAMPLE.ORG = {\n\t\twait = quorum\n\t\twait_timeout = 7s\n\t}\n"

// Each change asks krep about its own serial, and only changes do.
func TestWaitAsks(t *testing.T) {
	var asked []map[string]string
	enough := quorum.Answer{Enough: true, Need: 1, Applied: 1, Listed: 2}
	fakeKrep(t, waitConf, func(args map[string]string) (any, error) {
		asked = append(asked, args)
		return enough, nil
	})
	before := serial(t)
	commands := "addprinc -pw secret1 a\nlistprincs\nmodprinc -maxlife 1h a\ngetprinc a\nmodprinc -policy x a\ndelprinc -force a\n"
	var out, errs bytes.Buffer
	if status := KadminLocal(nil, strings.NewReader(commands), &out, &errs); status != 0 {
		t.Errorf("status %d: %s", status, errs.String())
	}
	if n := strings.Count(out.String(), "applied by 1 of 2 slaves.\n"); n != 4 || len(asked) != 4 {
		t.Errorf("%d confirmations, asked %v\n%s", n, asked, out.String())
	}
	for i, args := range asked {
		if args["want"] != "quorum" || !about(args["timeout"], 7*time.Second) || args["serial"] != number(before.Serial+uint64(i)+1) || args["epoch"] != before.Epoch.String() {
			t.Errorf("%d: %v after %v", i, args, before)
		}
	}
	asked = nil
	if status, out, errs := runProgram(KadminLocal, "-wait", "none", "addprinc", "-pw", "secret1", "b"); status != 0 || len(asked) > 0 {
		t.Error(status, out, errs, asked)
	}
	if status, out, errs := runProgram(KadminLocal, "-wait", "all", "-wait-timeout", "1s", "delprinc", "b"); status != 0 || out+errs != "" ||
		len(asked) != 1 || asked[0]["want"] != "all" || !about(asked[0]["timeout"], time.Second) {
		t.Error(status, out, errs, asked)
	}
}

// about tells whether a duration is at most d, and not much less.
func about(text string, d time.Duration) bool {
	got, err := time.ParseDuration(text)
	return err == nil && got <= d && got > d/2
}

// Who gets one of our options wrong is shown them.
func TestWaitUsage(t *testing.T) {
	for _, args := range [][]string{{"-wait", "some"}, {"-wait-timeout"}} {
		if status, _, errs := runProgram(KadminLocal, args...); status != 1 || !strings.Contains(errs, kadminUsage+kadminMore) {
			t.Errorf("%v: %d, %s", args, status, errs)
		}
	}
	if status, _, errs := runProgram(KadminLocal, "-q"); status != 1 || !strings.HasSuffix(errs, kadminUsage) {
		t.Errorf("another: %d, %s", status, errs)
	}
}

// What is not confirmed is said, with the slaves, and the status tells a script: 2. The change is
// there; and what has failed by itself is not waited for.
func TestWaitUnconfirmed(t *testing.T) {
	var say quorum.Answer
	var trouble error
	calls := 0
	fakeKrep(t, waitConf, func(args map[string]string) (any, error) {
		calls++
		for i := range say.Missing {
			if say.Missing[i].Epoch == "same" {
				say.Missing[i].Epoch = args["epoch"]
			}
		}
		return say, trouble
	})
	at := serial(t).Serial
	say = quorum.Answer{Need: 2, Applied: 1, Listed: 3, Missing: []quorum.Late{
		{Slave: "kdc4", State: "retrying", Epoch: "same", Serial: 5, LastError: "dial: connection refused"}, {Slave: "kdc5", State: "connecting"},
		{Slave: "kdc7", State: "broken", LastError: "un\x1b[2Known\nkadmin.local: fine"},
		{Slave: "kdc6", State: "streaming", Epoch: "0123456789abcdef", Serial: 9}}}
	status, out, errs := runProgram(KadminLocal, "addprinc", "-pw", "secret1", "a")
	want := "kadmin.local: change " + number(at+1) + ` is stored, but only 1 of 3 slaves have applied it after 7s, 2 are to:
kadmin.local:   kdc4: retrying, at 5: dial: connection refused
kadmin.local:   kdc5: connecting, how far is not known
kadmin.local:   kdc7: broken, how far is not known: un?[2Known?kadmin.local: fine
kadmin.local:   kdc6: streaming, at 9 of epoch 0123456789abcdef
`
	if status != 2 || out != "" || errs != want {
		t.Errorf("status %d, %q\ngot  %q\nwant %q", status, out, errs, want)
	}
	if serial(t).Serial != at+1 {
		t.Error("the change is not there")
	}
	say = quorum.Answer{Need: 4, Applied: 3, Listed: 3}
	if status, _, errs := runProgram(KadminLocal, "-wait", "4", "-q", "modprinc -maxlife 1h a"); status != 2 || !strings.Contains(errs, "only 3 slaves are listed, and 4 are to apply it") {
		t.Error(status, errs)
	}
	trouble = errors.New("no delta file")
	if status, _, errs := runProgram(KadminLocal, "modprinc", "-maxlife", "2h", "a"); status != 2 || !strings.Contains(errs, "krep cannot tell whether slaves have applied it: no delta file") {
		t.Error(status, errs)
	}
	calls = 0
	if status, _, _ := runProgram(KadminLocal, "modprinc", "-maxlife", "2h", "nobody"); status != 1 || calls != 0 {
		t.Error(status, calls)
	}
}

// Who interrupts the wait is told that the change is there, and no further command is executed.
func TestWaitInterrupted(t *testing.T) {
	over := make(chan struct{})
	fakeKrep(t, waitConf, func(map[string]string) (any, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
		<-over
		return quorum.Answer{Enough: true}, nil
	})
	defer close(over)
	at := serial(t).Serial
	var out, errs bytes.Buffer
	status := KadminLocal(nil, strings.NewReader("addprinc -pw secret1 a\naddprinc -pw secret1 b\n"), &out, &errs)
	if want := "change " + number(at+1) + " is stored; interrupted before"; status != 2 || !strings.Contains(errs.String(), want) {
		t.Errorf("status %d: %s", status, errs.String())
	}
	if now := serial(t).Serial; now != at+1 {
		t.Errorf("at %d after %d", now, at)
	}
}

// A krep that is not there is asked again until the time is over, which is said before.
func TestWaitWithoutKrep(t *testing.T) {
	fakeKrep(t, waitConf, nil)
	start := time.Now()
	status, _, errs := runProgram(KadminLocal, "-wait-timeout", "1500ms", "addprinc", "-pw", "secret1", "a")
	if took := time.Since(start); took < 1500*time.Millisecond {
		t.Errorf("asked for %v only", took)
	}
	for _, want := range []string{"krep does not answer at krep.sock, asking again until the 1.5s are over\n", "is stored, but krep does not answer at krep.sock: not known"} {
		if status != 2 || strings.Count(errs, want) != 1 {
			t.Errorf("status %d, lacks %q: %s", status, want, errs)
		}
	}
	if status, _, errs := runProgram(KadminLocal, "-wait-timeout", "100ms", "delprinc", "a"); status != 2 || strings.Count(errs, "krep does not answer") != 1 {
		t.Error(status, errs)
	}
	fakeKrep(t, "[krep]\n\twait = all\n", nil)
	if status, _, errs := runProgram(KadminLocal, "addprinc", "-pw", "secret1", "a"); status != 1 || !strings.Contains(errs, "no control socket of krep configured") {
		t.Error(status, errs)
	}
	if status, _, errs := runProgram(KadminLocal, "-wait", "none", "addprinc", "-pw", "secret1", "a"); status != 0 {
		t.Error(status, errs)
	}
}

// A krep that is restarted while somebody waits is asked again for the rest of the time.
func TestWaitThroughRestart(t *testing.T) {
	var lefts []time.Duration
	fakeKrep(t, waitConf, func(args map[string]string) (any, error) {
		left, err := time.ParseDuration(args["timeout"])
		if err != nil {
			t.Error(err)
		}
		if lefts = append(lefts, left); len(lefts) == 1 {
			return nil, control.ErrEnds
		}
		return quorum.Answer{Enough: true, Need: 1, Applied: 1, Listed: 1}, nil
	})
	status, out, errs := runProgram(KadminLocal, "-q", "addprinc -pw secret1 a")
	if status != 0 || errs != "" && strings.Contains(errs, "krep") || !strings.Contains(out, "applied by 1 of 1 slaves") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if len(lefts) != 2 || lefts[0] > 7*time.Second || lefts[1] >= lefts[0] {
		t.Error(lefts)
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// serial is where the database in the present directory stands.
func serial(t *testing.T) deltafile.State {
	t.Helper()
	db, err := kdb.Open(t.Context(), "principal.sqlite", kdb.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	at, err := db.State(t.Context())
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return at
}
