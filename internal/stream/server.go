package stream

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Limits of a Server.
const (
	DefaultMaxPending = 64          // handshakes at a time
	acceptRetry       = time.Second // after Accept fails, for want of descriptors say
)

// Server accepts connections on listeners and passes on those that authenticate.
type Server struct {
	Acceptor *Acceptor
	// Handle serves one stream. It returns when the stream has ended or ctx has; Serve
	// closes the Conn afterwards.
	Handle     func(ctx context.Context, c *Conn)
	Log        zerolog.Logger
	MaxPending int // 0: DefaultMaxPending

	pending  pending
	refusals refusals
}

// Serve accepts on ln until ctx ends, closes it, waits for all that it started and returns nil.
// It may be called for several listeners at the same time. It returns an error only when the
// listener is closed by somebody else.
//
// With MaxPending handshakes under way a further connection pushes out the oldest: a handshake
// takes milliseconds, so what has waited longest is the least likely to be one.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer func() {
		stop() // before it began, perhaps: what was accepted meanwhile has ended the loop
		_ = ln.Close()
	}()
	g.Go(func() error {
		for {
			nc, err := ln.Accept()
			switch {
			case ctx.Err() != nil:
				if nc != nil {
					_ = nc.Close()
				}
				return nil
			case errors.Is(err, net.ErrClosed):
				return fmt.Errorf("listen on %s: %w", ln.Addr(), err)
			case err != nil:
				s.Log.Warn().Err(err).Msg("accept failed")
				wait(ctx, acceptRetry)
				continue
			}
			g.Go(func() error { s.serve(ctx, nc); return nil })
		}
	})
	return g.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (s *Server) serve(ctx context.Context, nc net.Conn) {
	limit := s.MaxPending
	if limit == 0 {
		limit = DefaultMaxPending
	}
	done := s.pending.add(nc, limit)
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
	}
	c, err := s.Acceptor.Accept(ctx, nc)
	pushed := done()
	if err != nil {
		if pushed {
			err = fmt.Errorf("%w: %w", ErrBusy, err)
		}
		if ctx.Err() == nil {
			s.refusals.log(s.Log, err, time.Now())
		}
		return
	}
	s.Handle(ctx, c)
	_ = c.Close()
}

// pending holds the connections whose handshake is under way, oldest first.
type pending struct {
	mu    sync.Mutex
	conns list.List // of *waiting
}

type waiting struct {
	nc     net.Conn
	pushed bool
}

// add enters nc and closes the oldest one beyond limit. done takes nc out again and tells
// whether it was pushed out before.
func (p *pending) add(nc net.Conn, limit int) (done func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns.Len() >= limit {
		oldest := p.conns.Remove(p.conns.Front()).(*waiting)
		oldest.pushed = true
		_ = oldest.nc.Close()
	}
	w := &waiting{nc: nc}
	e := p.conns.PushBack(w)
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !w.pushed {
			p.conns.Remove(e)
		}
		return w.pushed
	}
}
