package interop

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// TestKDCServesDuringLoad: a KDC that has been running answers all the time while a large dump is loaded, then
// another one, and serves what the last load brought, without a restart. How fast depends on the machine; that
// logins begin and end within each large load does not, if they need not wait for it.
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
	var loads, logins []span // the large loads; loading guards them
	go func() {
		for _, file := range []string{big, f.Dump, big, after} {
			start := time.Now()
			result, err := ours(ctx, h, "kdb5_util", "load", "-force", file)
			if file == big {
				loads = append(loads, span{start, time.Now()})
			}
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
	for done := false; !done; {
		select {
		case err := <-loading:
			check(t, err)
			done = true
		default:
		}
		start := time.Now()
		result, err := client.Kinit(ctx, anna.Principal, anna.Password)
		succeeds(t, result, err)
		logins = append(logins, span{start, time.Now()})
	}
	longest := func(a, b span) int { return cmp.Compare(a.took(), b.took()) }
	slowest, large := slices.MaxFunc(logins, longest).took(), slices.MaxFunc(loads, longest).took()
	t.Logf("%d logins in %v of loading, slowest %v, a large load %v", len(logins), time.Since(begun), slowest, large)
	if slowest > max(time.Second, large/2) { // the client asks again after a second without an answer
		t.Errorf("slowest login %v", slowest)
	}
	for _, load := range loads {
		within := 0
		for _, login := range logins {
			if login.begin.After(load.begin) && login.end.Before(load.end) {
				within++
			}
		}
		if within < 5 {
			t.Errorf("%d logins during a load of %v", within, load.took())
		}
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

// span is the time that something took.
type span struct{ begin, end time.Time }

func (s span) took() time.Duration { return s.end.Sub(s.begin) }

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
