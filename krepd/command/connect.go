package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
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
	masters func() []slavelist.Slave   // address and principal, in the form of the slave list; none: nobody is dialled
	changed chan struct{}              // receives when masters says something else
	client  atomic.Pointer[krb.Client] // nil until prepare has made it
	keytab  *krb.Keytab
	kdcs    func(realm string) []string
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

// newConnector makes the connector, which can dial once it is prepared.
func (d *krepd) newConnector() *connector {
	c := &connector{keytab: d.keytab, handle: d.receiver.Handle, log: d.log, changed: make(chan struct{}, 1),
		masters: func() []slavelist.Slave { return d.live.Load().connect },
		kdcs:    func(realm string) []string { return d.live.Load().Conf.KDCs(realm) }}
	c.serve = c.once
	return c
}

// prepare makes what is needed to dial, if masters are to be dialled.
func (c *connector) prepare(s *settings) error {
	if len(s.connect) == 0 || c.client.Load() != nil {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	own, err := krb.ServicePrincipal(c.keytab, s.principal, "krep", host, s.Realm.Name)
	if err != nil {
		return err
	}
	c.client.Store(&krb.Client{Principal: own, Keytab: c.keytab, KDCs: c.kdcs, Skew: s.Conf.ClockSkew})
	return nil
}

// ringUp says that the masters may be others now.
func (c *connector) ringUp() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// run dials until ctx ends.
func (c *connector) run(ctx context.Context) {
	wait, failed := connectFirst, 0
	var master slavelist.Slave               // to dial next
	told := make(map[slavelist.Slave]string) // what was logged last of each
	for {
		masters := c.masters()
		if len(masters) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-c.changed:
			}
			continue
		}
		at := max(slices.Index(masters, master), 0)
		master = masters[at]
		start := time.Now()
		err := c.serve(ctx, master)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if err.Error() != told[master] {
				told[master] = err.Error()
				c.log.Warn().Err(err).Str("master", master.Name()).Msg("master not reached, trying again")
			}
			master = masters[(at+1)%len(masters)]
			if failed++; failed%len(masters) != 0 {
				continue // the next one may be there
			}
		} else {
			failed = 0
			delete(told, master)
			if time.Since(start) >= connectGood {
				wait = connectFirst
			}
		}
		t := time.NewTimer(wait - time.Duration(rand.Int64N(int64(wait/2))))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-c.changed:
			t.Stop()
			wait, failed = connectFirst, 0
			continue
		case <-t.C:
		}
		wait = min(2*wait, connectMax)
	}
}

// once opens one stream and serves it; nil after a stream, however it ended.
func (c *connector) once(ctx context.Context, master slavelist.Slave) error {
	client := c.client.Load()
	t, err := client.Ticket(ctx, master.Principal)
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
			client.Forget(master.Principal)
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	c.handle(ctx, conn)
	return nil
}
