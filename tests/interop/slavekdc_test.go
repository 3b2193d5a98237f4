package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/kdb"
	"krealm/tests/kdctest"
	"krealm/tests/testrealm"
)

// asker asks one KDC over UDP as anna.albers, with the encrypted timestamp, for tickets of a service.
// It is used by one goroutine.
type asker struct {
	conn  net.Conn
	key   *krbcrypto.Key
	nonce int64
	buf   []byte
}

// answerTimeout is longer than any client waits before it asks again.
const answerTimeout = 20 * time.Second

func newAsker(t testing.TB, h *testrealm.Host, f *testrealm.Fixture) *asker {
	t.Helper()
	password := must(f.Entry("anna.albers"))(t).Password
	key := must(krbcrypto.StringToKey(krbcrypto.ETypeAES256SHA1, []byte(password), []byte(testrealm.RealmName+"anna.albers"), nil))(t)
	c := must(net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", h.KDCPort)))(t)
	t.Cleanup(func() { _ = c.Close() })
	return &asker{conn: c, key: key, nonce: time.Now().UnixNano() & (1<<30 - 1), buf: make([]byte, 65536)}
}

// send sends one request and waits for its answer.
func (a *asker) send(client string, preauth bool, server ...string) ([]byte, int64, error) {
	a.nonce++
	now := time.Now()
	body := kdctest.ASBody(kdctest.Name(testrealm.RealmName, client), server...)
	body.Till, body.Nonce = now.Unix()+3600, a.nonce
	var padata []krbmsg.PAData
	if preauth {
		padata = append(padata, kdctest.Timestamp(a.key, now.Unix()))
	}
	if err := errors.Join(a.conn.SetDeadline(now.Add(answerTimeout))); err != nil {
		return nil, 0, err
	}
	if _, err := a.conn.Write(kdctest.ASReq(body, padata...)); err != nil {
		return nil, 0, err
	}
	n, err := a.conn.Read(a.buf)
	return a.buf[:n], a.nonce, err
}

// ticket logs in for a service and returns its key version. The answer has to be a ticket, and to
// open under the client's key.
func (a *asker) ticket(server ...string) (kvno uint32, err error) {
	answer, nonce, err := a.send("anna.albers", true, server...)
	if err != nil {
		return 0, err
	}
	var rep krbmsg.KDCRep
	if err := rep.Parse(answer); err != nil {
		var e krbmsg.KRBError
		if e.Parse(answer) == nil {
			return 0, fmt.Errorf("refused: %d %s", e.Code, e.EText)
		}
		return 0, err
	}
	plain, err := a.key.Decrypt(nil, krbcrypto.UsageASRepEncPart, rep.EncPart.Cipher)
	if err != nil {
		return 0, err
	}
	var part krbmsg.EncKDCRepPart
	if err := part.Parse(plain); err != nil {
		return 0, err
	}
	if part.Nonce != nonce {
		return 0, fmt.Errorf("nonce %d, want %d", part.Nonce, nonce)
	}
	return uint32(rep.Ticket.EncPart.Kvno.V), nil
}

// known asks without preauthentication whether the KDC has a client: what it refuses with.
func (a *asker) known(client string) (code int32, err error) {
	answer, _, err := a.send(client, false, "krbtgt", testrealm.RealmName)
	if err != nil {
		return 0, err
	}
	var e krbmsg.KRBError
	if e.Parse(answer) == nil {
		return e.Code, nil
	}
	return 0, nil
}

// probe is the service whose key version tells which content an answer came from.
const probe = "host/h01.example.org"

// editor changes the master's database in this process: one commit a change, as kadmin.local does,
// without the time that it takes to start.
type editor struct {
	db *kdb.DB
	h  *testrealm.Host
}

func newEditor(ctx context.Context, t testing.TB, h *testrealm.Host) *editor {
	t.Helper()
	db := must(kdb.Open(ctx, h.SQLite(), kdb.Options{DeltaFile: h.Delta}))(t)
	t.Cleanup(func() { check(t, db.Close()) })
	return &editor{db, h}
}

// bump raises the key version of the probe; add adds a copy of anna.albers.
func (e *editor) bump(ctx context.Context) (kvno uint32, st deltafile.State, err error) {
	st, err = e.db.Update(ctx, func(tx *kdb.Tx) error {
		p, err := tx.Principal(probe + "@" + testrealm.RealmName)
		if err != nil {
			return err
		}
		for i := range p.Keys {
			p.Keys[i].Kvno++
			kvno = uint32(p.Keys[i].Kvno)
		}
		return tx.PutPrincipal(p)
	})
	return kvno, st, err
}

func (e *editor) add(ctx context.Context, name string) (deltafile.State, error) {
	return e.db.Update(ctx, func(tx *kdb.Tx) error {
		p, err := tx.Principal("anna.albers@" + testrealm.RealmName)
		if err != nil {
			return err
		}
		p.Name = name + "@" + testrealm.RealmName
		p.SetLockout(dumpfmt.Lockout{})
		return tx.PutPrincipal(p)
	})
}

// startSlaveKDC is a realm with n more principals, a slave, and a KDC on the slave.
func startSlaveKDC(t testing.TB, n int) (context.Context, *replicating, *testrealm.Fixture, *editor) {
	t.Helper()
	ctx, x := startReplicating(t, "slave1")
	f := fixture(t)
	if n > 0 {
		big := dumpFile(x.Master, "big")
		writeFile(t, big, larger(ctx, t, f, n))
		result, err := ours(ctx, x.Master, "kdb5_util", "load", "-update", big)
		succeeds(t, result, err)
		x.caughtUp(ctx, t)
	}
	must(x.Slaves[0].StartKDC(ctx))(t)
	return ctx, x, f, newEditor(ctx, t, x.Master)
}

// lags makes n changes, one after the other, and measures for each how long after the slave's database
// shows it the slave's KDC gave the first answer that uses it. A KDC that is faster than the
// watch of the database, which looks every testrealm.Resolution, counts as 0.
func lags(ctx context.Context, t testing.TB, x *replicating, a *asker, e *editor, n int) []time.Duration {
	t.Helper()
	var out []time.Duration
	for range n {
		kvno, st, err := e.bump(ctx)
		check(t, err)
		var answered time.Time
		for asked := 0; ; asked++ {
			got, err := a.ticket("host", "h01.example.org")
			check(t, err)
			if got == kvno {
				answered = time.Now()
				break
			}
			if got > kvno || asked > 1e6 {
				t.Fatalf("kvno %d, want %d", got, kvno)
			}
		}
		visible := must(x.watches[0].Reached(ctx, st))(t)
		out = append(out, max(0, answered.Sub(visible)))
	}
	slices.Sort(out)
	return out
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// TestSlaveKDCUsesChanges: what the slave's database has, its KDC uses: soon in any case, and at once before it
// refuses somebody.
func TestSlaveKDCUsesChanges(t *testing.T) {
	ctx, x, f, e := startSlaveKDC(t, 0)
	a := newAsker(t, x.Slaves[0], f)
	l := lags(ctx, t, x, a, e, 100)
	t.Logf("from the slave's commit to the first answer: p50 %v, p99 %v, max %v", quantile(l, 0.5), quantile(l, 0.99), l[len(l)-1])
	if half := quantile(l, 0.5); half > 100*time.Millisecond { // far more than it takes, and less than the slow poll
		t.Errorf("half of the changes took more than %v", half)
	}
	refused := 0
	for i := range 100 {
		name := fmt.Sprintf("new.comer%03d", i)
		if code, err := a.known(name); err != nil || code != krbmsg.ErrCPrincipalUnknown {
			t.Fatalf("%s is answered with %d, %v before it is there", name, code, err)
		}
		st, err := e.add(ctx, name)
		check(t, err)
		must(x.watches[0].Reached(ctx, st))(t)
		if code, err := a.known(name); err != nil || code != krbmsg.ErrPreauthRequired {
			t.Logf("%s is in the slave's database, and the KDC answers with %d, %v", name, code, err)
			refused++
		}
	}
	if refused > 5 { // none, unless the machine keeps the KDC from its work for a tenth of a second
		t.Errorf("%d refused for what the database has", refused)
	}
}

// TestLoginRightAfterChange: who is added, gets another password or is unlocked can log in as soon as kadmin.local
// has returned.
func TestLoginRightAfterChange(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	c := must(r.Master.NewClient("hasty", testrealm.UDP))(t)
	for i := range 4 {
		name := fmt.Sprintf("hasty%d", i)
		result, err := c.Kinit(ctx, name, "x")
		fails(t, result, err, "not found")
		for _, query := range []string{"addprinc -clearpolicy -pw pw-1-%[1]s %[1]s", "cpw -pw pw-2-%[1]s %[1]s", "cpw -e aes128-sha2:special -pw pw-3-%[1]s %[1]s"} {
			query = fmt.Sprintf(query, name)
			kadmin(ctx, t, r, query)
			result, err := c.Kinit(ctx, name, strings.Fields(query[strings.Index(query, "pw-"):])[0])
			succeeds(t, result, err)
		}
		kadmin(ctx, t, r, "modprinc -allow_tix "+name)
		result, err = c.Kinit(ctx, name, "pw-3-"+name)
		fails(t, result, err, "revoked")
		kadmin(ctx, t, r, "modprinc +allow_tix "+name)
		result, err = c.Kinit(ctx, name, "pw-3-"+name)
		succeeds(t, result, err)
	}
}

// TestSlaveServesThroughResync: while the slave gets full copies, one after the other, its KDC answers every
// request, from the old content or from the new, and never goes back.
func TestSlaveServesThroughResync(t *testing.T) {
	const rounds = 3
	size := 10000
	if raceDetector {
		size = 1500
	}
	ctx, x, f, e := startSlaveKDC(t, size)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	type result struct {
		answers int
		slowest time.Duration
		err     error
	}
	results := make([]result, 2)
	for i := range results {
		a := newAsker(t, x.Slaves[0], f)
		wg.Go(func() {
			r, last := &results[i], uint32(0)
			for r.err == nil {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				kvno, err := a.ticket("host", "h01.example.org")
				r.answers++
				r.slowest = max(r.slowest, time.Since(start))
				if r.err = err; err == nil && kvno < last {
					r.err = fmt.Errorf("kvno %d after %d", kvno, last)
				}
				last = kvno
			}
		})
	}
	slave := fmt.Sprintf("127.0.0.1:%d", x.Slaves[0].KrepdPort)
	a := newAsker(t, x.Slaves[0], f)
	begun := time.Now()
	var want uint32
	for round := range rounds {
		must(x.Master.Must(ctx, "", "krep", "resync", slave))(t)
		var err error
		want, _, err = e.bump(ctx) // comes with the copy, or behind it
		check(t, err)
		x.caughtUp(ctx, t)
		for strings.Count(x.krepds[0].Log(), "full copy loaded") < round+2 { // one was at the start
			check(t, ctx.Err())
			_, err := a.ticket("host", "h01.example.org")
			check(t, err)
		}
	}
	took := time.Since(begun)
	late := time.Now().Add(waitTimeout)
	for kvno := uint32(0); kvno != want; {
		var err error
		kvno, err = a.ticket("host", "h01.example.org")
		check(t, err)
		if time.Now().After(late) {
			t.Fatalf("kvno %d after all, want %d", kvno, want)
		}
	}
	close(stop)
	wg.Wait()
	for _, r := range results {
		check(t, r.err)
		t.Logf("%d answers during %d copies in %v, slowest %v", r.answers, rounds, took, r.slowest)
		if r.answers < 100 {
			t.Errorf("%d answers", r.answers)
		}
	}
	x.equal(ctx, t)
}

// BenchmarkSlaveKDCFollows is the time from the commit of a change in a slave's database to the first answer of the
// slave's KDC that uses it: real krep, krepd and KDC.
func BenchmarkSlaveKDCFollows(b *testing.B) {
	ctx, x, f, e := startSlaveKDC(b, 0)
	a := newAsker(b, x.Slaves[0], f)
	b.ResetTimer()
	l := lags(ctx, b, x, a, e, max(b.N, 2))
	for name, q := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(float64(quantile(l, q))/1e6, name)
	}
}
