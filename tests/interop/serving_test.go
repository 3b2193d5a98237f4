package interop

import (
	"strings"
	"testing"
	"time"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// TestKDCServesDuringLoad: a KDC that has been running answers all the time while a large dump is loaded, then
// another one, and serves what the last load brought, without a restart.
func TestKDCServesDuringLoad(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	h := r.Master
	must(h.StartKDC(ctx))(t)
	kadmin(ctx, t, r, "addprinc -clearpolicy -pw came-Later-1 late")
	after := dumpFile(h, "after")
	result, err := ours(ctx, h, "kdb5_util", "dump", after)
	succeeds(t, result, err)
	kadmin(ctx, t, r, "delprinc -force late")
	anna := must(f.Entry("anna.albers"))(t)
	client := must(h.NewClient("anna", testrealm.UDP))(t)

	// The realm, and many more principals that no login needs.
	large := must(largerealm.New(largerealm.Options{N: 30000, Realm: testrealm.RealmName, Policies: -1, KnownEvery: -1}))(t)
	var more strings.Builder
	check(t, large.WriteDump(ctx, &more))
	var b strings.Builder
	b.Write(readFile(t, f.Dump))
	have := b.String()
	added := 0
	for line := range strings.Lines(more.String()) {
		fields := strings.Split(line, "\t")
		if fields[0] == "princ" && !strings.Contains(have, "\t"+fields[6]+"\t") {
			b.WriteString(line)
			added++
		}
	}
	if added < 29000 {
		t.Fatalf("only %d principals beside the realm's", added)
	}
	big := dumpFile(h, "big")
	writeFile(t, big, []byte(b.String()))

	loading := make(chan error, 1)
	begun := time.Now()
	go func() {
		for _, file := range []string{big, f.Dump, big, after} {
			result, err := ours(ctx, h, "kdb5_util", "load", "-force", file)
			if err == nil {
				err = result.Err()
			}
			if err != nil {
				loading <- err
				return
			}
		}
		loading <- nil
	}()
	logins, slowest := 0, time.Duration(0)
	for done := false; !done; logins++ {
		select {
		case err := <-loading:
			check(t, err)
			done = true
		default:
		}
		start := time.Now()
		result, err := client.Kinit(ctx, anna.Principal, anna.Password)
		succeeds(t, result, err)
		slowest = max(slowest, time.Since(start))
	}
	t.Logf("%d logins in %v of loading, slowest %v", logins, time.Since(begun), slowest)
	if logins < 5 || slowest > time.Second { // the client asks again after a second without an answer
		t.Errorf("%d logins, slowest %v", logins, slowest)
	}
	// Until the KDC has read what is new it serves what was.
	start := time.Now()
	for {
		result, err = client.Kinit(ctx, "late", "came-Later-1")
		if check(t, err); result.Status == 0 || time.Since(start) > waitTimeout {
			break
		}
	}
	succeeds(t, result, err)
	t.Logf("what was loaded is served after %v", time.Since(start))
}
