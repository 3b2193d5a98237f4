package command

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"

	"krealm/internal/krb"
	"krealm/internal/krbcrypto"
	"krealm/internal/stream"
)

// oneKey limits a keytab to krep's own principal.
type oneKey struct {
	keytab    *krb.Keytab
	principal string
}

// Keys implements stream.Keys.
func (o oneKey) Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key {
	if service != o.principal {
		return nil
	}
	return o.keytab.Keys(service, kvno, e)
}

// listenAll opens all listeners, or none.
func listenAll(addrs []string) (listeners []net.Listener, err error) {
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close()
	}
}

// serveCallers takes the slaves that connect to us. Who they may be is what the slave list says.
func (k *krep) serveCallers(ctx context.Context, g *errgroup.Group, listeners []net.Listener) {
	server := &stream.Server{Log: k.log, Acceptor: &stream.Acceptor{
		Keys: oneKey{k.client.Keytab, k.client.Principal}, Allow: k.set.Expects, Skew: k.s.Conf.ClockSkew,
	}, Handle: func(ctx context.Context, c *stream.Conn) {
		if err := k.set.Take(ctx, c); err != nil && ctx.Err() == nil {
			k.log.Warn().Err(err).Str("client", c.Peer()).Msg("slave is not served")
		}
	}}
	for _, ln := range listeners {
		g.Go(func() error { return server.Serve(ctx, ln) })
	}
}
