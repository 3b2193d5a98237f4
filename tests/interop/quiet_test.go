package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// slaveFailures is how many attempts in a row came to nothing with the only slave of the list, and why the last did.
func slaveFailures(ctx context.Context, t *testing.T, h *testrealm.Host) (n int, lastError string) {
	t.Helper()
	var st struct {
		Slaves []struct {
			Failures  int    `json:"failures"`
			LastError string `json:"last_error"`
		} `json:"slaves"`
	}
	out := must(h.Run(ctx, "", "krep", "status", "-json"))(t).Stdout
	check(t, json.Unmarshal([]byte(out), &st))
	if len(st.Slaves) != 1 {
		t.Fatal(out)
	}
	return st.Slaves[0].Failures, st.Slaves[0].LastError
}

// TestTroubleIsToldThrice: a slave whose every stream breaks, here because no full copy can be made for it, and one that
// refuses the master, are in both logs three times at first, and in krep status all the time.
func TestTroubleIsToldThrice(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t, "slave1")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	slave := r.Slaves[0]
	logs := func(what string, krep, krepd *testrealm.Process, lines map[string]*testrealm.Process, reason string) {
		t.Helper()
		n, last := 0, ""
		for n < 7 && ctx.Err() == nil { // nine seconds
			n, last = slaveFailures(ctx, t, r.Master)
		}
		if !strings.Contains(last, reason) {
			t.Errorf("%s: status says %q", what, last)
		}
		for text, p := range lines {
			if n := strings.Count(p.Log(), text); n != 3 {
				t.Errorf("%s: %d lines with %q of %s:\n%s", what, n, text, p.Name, p.Log())
			}
		}
		krep.Kill()
		krepd.Kill()
	}
	krepd := must(slave.StartKrepd(ctx))(t)
	krep := must(r.Master.Start(ctx, "krep", "-r", testrealm.RealmName, "-snapshot-command", "false"))(t)
	logs("no copy", krep, krepd, map[string]*testrealm.Process{`"message":"stream lost"`: krep, `"message":"slave needs a full copy"`: krep,
		`"message":"feeder connected"`: krepd, `"message":"feeder gone"`: krepd}, "full copy")

	krepd = must(slave.Start(ctx, "krepd", "-r", testrealm.RealmName, "-allow", "krep/other.example.org"))(t)
	krep = must(r.Master.StartKrep(ctx))(t)
	logs("refused", krep, krepd, map[string]*testrealm.Process{`"message":"stream lost"`: krep, `"message":"connection refused"`: krepd},
		"refused by the other side")
	if want := fmt.Sprint(`"client":"`, r.Master.Principal()); !strings.Contains(krepd.Log(), want) {
		t.Errorf("lacks %s", want)
	}
}
