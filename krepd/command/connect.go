package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/krb"
	"krealm/internal/krbmsg"
	"krealm/internal/stream"
	"krealm/krep/slavelist"
)

const (
	connectDial  = 10 * time.Second
	connectFirst = 100 * time.Millisecond // after the first failure; doubled with each further one
	connectMax   = 30 * time.Second
	connectGood  = 5 * time.Second // a stream that lasted as long was no failure
)

// connector opens streams to masters that cannot open them to us, one at a time, for ever. It stays
// with a master that it has reached; one that it does not reach is followed by the next.
type connector struct {
	masters []slavelist.Slave // address and principal, in the form of the slave list
	client  *krb.Client
	handle  func(context.Context, *stream.Conn)
	log     zerolog.Logger

	serve func(context.Context, slavelist.Slave) error // once, but in tests
}

// parseMasters reads addresses of masters: "host[:port] [principal]".
func parseMasters(values []string, realm string) ([]slavelist.Slave, error) {
	var out []slavelist.Slave
	for _, v := range values {
		list, err := slavelist.Parse(strings.NewReader(v), slavelist.Defaults{Realm: realm, Port: defaultPort})
		if err == nil && (len(list) != 1 || list[0].Connects) {
			err = slavelist.ErrAddress
		}
		if err != nil {
			return nil, fmt.Errorf("connect %q: %w", v, err)
		}
		out = append(out, list[0])
	}
	return out, nil
}

// newConnector makes the connector, if masters are to be dialled.
func (d *krepd) newConnector(kt *krb.Keytab) error {
	if len(d.s.connect) == 0 {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	own, err := krb.ServicePrincipal(kt, d.s.principal, "krep", host, d.s.Realm.Name)
	if err != nil {
		return err
	}
	client := &krb.Client{Principal: own, Keytab: kt, KDCs: d.s.Conf.KDCs, Skew: d.s.Conf.ClockSkew}
	d.connector = &connector{masters: d.s.connect, client: client, handle: d.receiver.Handle, log: d.log}
	d.connector.serve = d.connector.once
	return nil
}

// run dials until ctx ends.
func (c *connector) run(ctx context.Context) {
	wait, at, failed := connectFirst, 0, 0
	told := make([]string, len(c.masters)) // what was logged last of each
	for {
		start := time.Now()
		err := c.serve(ctx, c.masters[at])
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if err.Error() != told[at] {
				told[at] = err.Error()
				c.log.Warn().Err(err).Str("master", c.masters[at].Name()).Msg("master not reached, trying again")
			}
			at = (at + 1) % len(c.masters)
			if failed++; failed%len(c.masters) != 0 {
				continue // the next one may be there
			}
		} else {
			failed, told[at] = 0, ""
			if time.Since(start) >= connectGood {
				wait = connectFirst
			}
		}
		t := time.NewTimer(wait - time.Duration(rand.Int64N(int64(wait/2))))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		wait = min(2*wait, connectMax)
	}
}

// once opens one stream and serves it; nil after a stream, however it ended.
func (c *connector) once(ctx context.Context, master slavelist.Slave) error {
	t, err := c.client.Ticket(ctx, master.Principal)
	if err != nil {
		return err
	}
	dial, cancel := context.WithTimeout(ctx, connectDial)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(dial, "tcp", master.Addr())
	if err != nil {
		return err
	}
	conn, err := stream.Initiate(ctx, nc, &stream.Credentials{
		Client: krbmsg.NewName(krbmsg.NTPrincipal, t.Client.Components...), Realm: t.Client.Realm,
		Server: t.Service, Ticket: t.Raw, Key: t.Key, End: t.End,
	})
	if err != nil {
		if errors.Is(err, stream.ErrRefused) {
			c.client.Forget(master.Principal)
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	c.handle(ctx, conn)
	return nil
}
