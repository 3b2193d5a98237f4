package interop

import (
	"bytes"
	"context"
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

	big := dumpFile(h, "big")
	writeFile(t, big, larger(ctx, t, f, 30000))

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

// larger is the fixture's dump with about n more principals, which no login needs.
func larger(ctx context.Context, t testing.TB, f *testrealm.Fixture, n int) []byte {
	t.Helper()
	large := must(largerealm.New(largerealm.Options{N: n, Realm: testrealm.RealmName, Policies: -1, KnownEvery: -1}))(t)
	var more strings.Builder
	check(t, large.WriteDump(ctx, &more))
	have := readFile(t, f.Dump)
	out := bytes.Clone(have)
	for line := range strings.Lines(more.String()) {
		fields := strings.Split(line, "\t")
		if fields[0] == "princ" && !bytes.Contains(have, []byte("\t"+fields[6]+"\t")) {
			out = append(out, line...)
		}
	}
	if added := bytes.Count(out, []byte("\n")) - bytes.Count(have, []byte("\n")); added < n-1000 {
		t.Fatalf("only %d principals beside the realm's", added)
	}
	return out
}
