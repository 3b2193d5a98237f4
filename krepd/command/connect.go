package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/krb"
	"krealm/internal/krbmsg"
	"krealm/internal/repeats"
	"krealm/internal/stream"
	"krealm/internal/wire"
	"krealm/krep/slavelist"
	"krealm/krepd/receiver"
)

const connectDial = 10 * time.Second

// connector opens streams to masters that cannot open them to us, one at a time, for ever. Which one
// is a rota's to say.
type connector struct {
	masters func() []slavelist.Slave   // address and principal, in the form of the slave list; none: nobody is dialled
	changed chan struct{}              // receives when masters says something else
	client  atomic.Pointer[krb.Client] // nil until prepare has made it
	keytab  *krb.Keytab
	kdcs    func(realm string) []string
	handle  func(context.Context, *stream.Conn, accept) error // receiver.Take
	log     zerolog.Logger

	serve func(context.Context, slavelist.Slave, accept) error // once, but in tests
}

// accept decides whether a master is taken that has said where it stands.
type accept = func(feeder, own wire.Point) error

// parseMasters reads addresses of masters: "host[:port] [principal]". One that is named twice is one.
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
		if !slices.Contains(out, list[0]) {
			out = append(out, list[0])
		}
	}
	return out, nil
}

// newConnector makes the connector, which can dial once it is prepared.
func (d *krepd) newConnector() *connector {
	c := &connector{keytab: d.keytab, handle: d.receiver.Take, log: d.log, changed: make(chan struct{}, 1),
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
	r := newRota(time.Now())
	missed := make(map[slavelist.Slave]*repeats.Spell)
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
		master, start := r.dial(masters), time.Now()
		err := c.serve(ctx, master, func(feeder, own wire.Point) error {
			err := r.accept(feeder, own, time.Now())
			if err == nil {
				c.tell(missed, master, ended, nil) // as far as it being reached goes
			}
			return err
		})
		if ctx.Err() != nil {
			return
		}
		came := outcomeOf(err)
		c.tell(missed, master, came, err)
		t := time.NewTimer(r.done(came, start, time.Now()))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-c.changed:
			t.Stop()
			r.changed()
		case <-t.C:
		}
	}
}

// tell logs that a master was not reached, or not taken, as repeats.Trouble has it, and the end of that.
func (c *connector) tell(missed map[slavelist.Slave]*repeats.Spell, master slavelist.Slave, came outcome, err error) {
	spell := missed[master]
	if spell == nil {
		spell = new(repeats.Spell)
		missed[master] = spell
	}
	switch {
	case came > declined:
		if times, since, tell := spell.Over(repeats.Trouble); tell {
			c.log.Info().Str("master", master.Name()).Int("times", times).Time("since", since).Msg("master was reached again")
		}
	case spell.Again(repeats.Trouble, repeats.Kind(err), time.Now()):
		c.log.Warn().Err(err).Str("master", master.Name()).Int("times", spell.Times()).Msg("master not reached or not taken, trying again")
	}
}

// outcomeOf reads what serve has returned.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return ended
	case errors.Is(err, receiver.ErrLost):
		return lost
	case errors.Is(err, receiver.ErrNotFed):
		return unfed
	case errors.Is(err, errBehind), errors.Is(err, errEpoch):
		return declined
	}
	return unreached
}

// once opens one stream and serves it. The error is that of receiver.Take, or why there was no stream.
func (c *connector) once(ctx context.Context, master slavelist.Slave, accept accept) error {
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
	return c.handle(ctx, conn, accept)
}
