package interop

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"krealm/internal/krb"
	"krealm/internal/krbmsg"
	"krealm/internal/stream"
	"krealm/internal/wire"
	"krealm/tests/testrealm"
)

// TestShortTickets: tickets of twelve seconds from a real KDC. krep renews its stream before they
// end while changes go on, each of which the slave has in time; a feeder with the same key that
// does not renew is cut off when its ticket and the clock skew are over.
func TestShortTickets(t *testing.T) {
	const life, skew = 12 * time.Second, 2 * time.Second
	ctx, r, _ := newLoadedRealm(t, "slave1", "slave2")
	check(t, r.MakeKeytabs(ctx))
	for _, h := range []*testrealm.Host{r.Master, r.Slaves[0], r.Slaves[1]} {
		edit(t, h.KDCConf, "max_life = 1d", "max_life = 12s")
		edit(t, h.KRB5Conf, "[libdefaults]\n", "[libdefaults]\n    clockskew = 2\n")
	}
	must(r.Master.StartKDC(ctx))(t)
	slave, other := r.Slaves[0], r.Slaves[1]
	krepd, lone := must(slave.StartKrepd(ctx))(t), must(other.StartKrepd(ctx))(t)
	writeFile(t, r.Master.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n", slave.KrepdPort, slave.Principal()))
	krep := must(r.Master.StartKrep(ctx))(t)
	cut := make(chan time.Duration, 1)
	go func() {
		after, err := feedUntilCut(t, r, other)
		if err != nil {
			t.Error(err)
		}
		cut <- after
	}()
	slowest, changes := time.Duration(0), 0
	for end := time.Now().Add(life + skew); time.Now().Before(end); changes++ {
		start := time.Now()
		result, err := r.Master.Run(ctx, "", "kdc", "kadmin.local", "-r", testrealm.RealmName, "-wait", "all", "-wait-timeout", "5s",
			"-q", fmt.Sprintf("addprinc -clearpolicy -randkey short%d", changes))
		succeeds(t, result, err)
		slowest = max(slowest, time.Since(start))
	}
	if n := strings.Count(krep.Log(), "ticket ends"); n < 2 {
		t.Errorf("%d renewals", n)
	}
	for _, p := range []*testrealm.Process{krep, krepd} {
		if log := p.Log(); strings.Contains(log, "stream lost") || strings.Contains(log, "ticket of the stream has ended") {
			t.Errorf("%s: a stream was not renewed in time:\n%s", p.Name, log)
		}
	}
	t.Logf("%d changes, the slowest command took %v", changes, slowest)
	if after := <-cut; after < life+skew-time.Second || after > life+skew+6*time.Second {
		t.Errorf("feeder without renewal cut off after %v", after)
	}
	says(ctx, t, lone, "ticket of the stream has ended")
}

// feedUntilCut opens a stream as krep does, with the master's key, keeps it alive with heartbeats
// and returns how long the slave lets it.
func feedUntilCut(t *testing.T, r *testrealm.Realm, slave *testrealm.Host) (time.Duration, error) {
	kt, err := krb.OpenKeytab(r.Master.Keytab)
	if err != nil {
		return 0, err
	}
	client := &krb.Client{Principal: r.Master.Principal(), Keytab: kt, KDCs: func(string) []string {
		return []string{fmt.Sprintf("127.0.0.1:%d", r.Master.KDCPort)}
	}}
	ticket, err := client.Ticket(t.Context(), slave.Principal())
	if err != nil {
		return 0, err
	}
	start := time.Now()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", slave.KrepdPort))
	if err != nil {
		return 0, err
	}
	conn, err := stream.Initiate(t.Context(), nc, &stream.Credentials{
		Client: krbmsg.NewName(krbmsg.NTPrincipal, ticket.Client.Components...), Realm: ticket.Client.Realm,
		Server: ticket.Service, Ticket: ticket.Raw, Key: ticket.Key, End: ticket.End,
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	hello := &wire.Hello{MinVersion: wire.Version, MaxVersion: wire.Version, Role: wire.Feeder, Realm: testrealm.RealmName}
	if err := conn.Send(hello.Append(nil)); err != nil {
		return 0, err
	}
	go func() {
		for conn.Send((&wire.Heartbeat{}).Append(nil)) == nil {
			<-time.After(200 * time.Millisecond)
		}
	}()
	for {
		conn.SetPatience(time.Minute)
		raw, err := conn.Receive()
		if err != nil {
			return time.Since(start), fmt.Errorf("stream of a feeder ended without a word: %w", err)
		}
		m, err := wire.Parse(raw)
		if err != nil {
			return 0, err
		}
		if e, ok := m.(*wire.Error); ok {
			if !strings.Contains(e.Text, "ticket of the stream has ended") {
				err = fmt.Errorf("slave says: %s", e.Text)
			}
			return time.Since(start), err
		}
	}
}

// edit replaces a text in a file.
func edit(t *testing.T, file, old, with string) {
	t.Helper()
	text := string(readFile(t, file))
	if !strings.Contains(text, old) {
		t.Fatalf("%s lacks %q", file, old)
	}
	writeFile(t, file, []byte(strings.Replace(text, old, with, 1)))
}
