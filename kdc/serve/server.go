package serve

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Server answers requests on the sockets it has bound.
type Server struct {
	o     Options
	l     *listeners
	d     dispatcher
	conns conns
	cert  certificate // for HTTPS
}

// New binds the sockets. The errors are those of the system, or ErrNoListener.
func New(ctx context.Context, o Options) (*Server, error) {
	if len(o.Realms) == 0 {
		return nil, errors.New("no realm to serve")
	}
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.MaxDgramReply, DefaultMaxDgramReply)
	def(&o.MaxConns, DefaultMaxConns)
	def(&o.Workers, runtime.GOMAXPROCS(0))
	if o.FrameTimeout <= 0 {
		o.FrameTimeout = 10 * time.Second
	}
	if o.ConnTimeout <= 0 {
		o.ConnTimeout = 30 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	// No datagram is longer than what fits behind IP and UDP headers.
	o.MaxDgramReply = min(o.MaxDgramReply, 65507)
	o.Log.Line(LevelInfo, "setting up network...")
	l, err := bind(ctx, &o)
	if err != nil {
		return nil, err
	}
	o.Log.Line(LevelInfo, "set up "+strconv.Itoa(l.count())+" sockets")
	s := &Server{o: o, l: l, cert: certificate{cert: o.HTTPS.CertFile, key: o.HTTPS.KeyFile}}
	if len(l.https) > 0 {
		if _, err := s.cert.get(); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	s.conns.max = o.MaxConns
	s.d = dispatcher{realms: o.Realms, cache: newLookaside(), log: o.Log, clock: o.Clock, limit: newLimits()}
	return s, nil
}

// Addrs returns the addresses that UDP and stream sockets are bound to, for callers that asked
// for port 0; HTTPSAddrs those of the proxy protocol.
func (s *Server) Addrs() (udp, stream []string) {
	for _, u := range s.l.udp {
		udp = append(udp, u.conn.LocalAddr().String())
	}
	for _, l := range s.l.stream {
		stream = append(stream, l.Addr().String())
	}
	return udp, stream
}

// HTTPSAddrs is like Addrs.
func (s *Server) HTTPSAddrs() (addrs []string) {
	for _, l := range s.l.https {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// Close gives up the sockets of a server that is not running.
func (s *Server) Close() error { return s.l.close() }

// Run serves until ctx ends, then returns nil; any other return is a socket that failed for
// good. Connections that are open are cut off: their clients ask another KDC.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, u := range s.l.udp {
		for range s.o.Workers {
			g.Go(func() error { return s.serveUDP(ctx, u) })
		}
	}
	for _, l := range s.l.stream {
		g.Go(func() error { return s.accept(ctx, l, g.Go) })
	}
	for _, l := range s.l.https {
		g.Go(func() error { return s.serveHTTPS(ctx, l) })
	}
	g.Go(func() error { s.countFloods(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		_ = s.l.close()
		s.conns.closeAll()
		return nil
	})
	return g.Wait()
}

// countFloods tells, until ctx ends and then once more, of floods that are over.
func (s *Server) countFloods(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.d.limit.flush(s.o.Log, s.d.clock().Add(time.Minute))
			return
		case <-ticker.C:
			s.d.limit.flush(s.o.Log, s.d.clock())
		}
	}
}
