package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"krealm/internal/wire"
	"krealm/krep/slave"
)

// errNotLoaded: the slave is alive, and that is all.
var errNotLoaded = fmt.Errorf("full copy not loaded within %v", loadTime)

// copy sends a full copy and waits until the slave has loaded it. Meanwhile heartbeats go out,
// and the slave's come in. A pause ends it, and a slave that calls again.
func (l *link) copy(ctx context.Context) error {
	// What f got, it may have got in the moment in which a pause, or a stream that is lost, ended the waiting.
	got := false
	defer func() {
		if got {
			<-l.s.copies
		}
	}()
	if err := l.waiting(ctx, func(ctx context.Context) error {
		err := l.s.acquire(ctx)
		got = err == nil
		return err
	}); err != nil {
		return err
	}

	_, last, _ := l.s.o.Feed.View()
	l.s.update(func(p *slave.Progress) { p.OnCopyWanted(point(last)) })
	var c Copy
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	err := l.waiting(ctx, func(ctx context.Context) (err error) {
		c, err = l.s.o.Source.Copy(ctx)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			err = l.end(&wire.Error{Reason: wire.ReasonSnapshot, Text: "no full copy can be made"}, fmt.Errorf("full copy: %w", err))
		}
		return err
	}

	base, size := c.State(), c.Size()
	l.log.Info().Stringer("epoch", base.Epoch).Uint64("serial", base.Serial).Int64("bytes", size).Msg("sending full copy")
	start := time.Now()
	l.s.update(func(p *slave.Progress) { p.OnCopyBegin(point(base), uint64(size)) })
	if err := l.chunks(ctx, c, size); err != nil {
		return err
	}
	if err := l.waiting(ctx, func(ctx context.Context) error {
		late := time.NewTimer(loadTime)
		defer late.Stop()
		select {
		case <-l.copyDone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return errNotLoaded
		}
	}); errors.Is(err, errNotLoaded) {
		return l.end(&wire.Error{Reason: wire.ReasonInternal, Text: err.Error()}, err)
	} else if err != nil {
		return err
	}
	l.at, l.copied, l.oldEpoch = point(base), true, uint64(last.Epoch)
	l.s.copied()
	l.log.Info().Uint64("serial", base.Serial).Dur("took_ms", time.Since(start)).Msg("full copy loaded")
	return nil
}

func (l *link) chunks(ctx context.Context, c Copy, size int64) error {
	if err := l.send(&wire.SnapshotBegin{Base: point(c.State()), Size: uint64(size)}); err != nil {
		return err
	}
	buf := make([]byte, messageData)
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.s.isPaused() {
			return l.pausedNow()
		}
		if l.s.called() {
			return errCalled
		}
		n, err := c.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 {
			return fmt.Errorf("full copy ends at %d of %d octets: %w", off, size, errors.Join(err, io.ErrUnexpectedEOF))
		}
		if err := l.sendData(&wire.SnapshotChunk{Offset: uint64(off), Data: buf[:n]}); err != nil {
			return err
		}
		off += int64(n)
		l.s.update(func(p *slave.Progress) { p.OnCopied(n) })
	}
	return l.send(&wire.SnapshotEnd{Size: uint64(size)})
}

// waiting calls f and sends heartbeats until it returns, or the slave is paused or calls again. It returns only after
// f has; when it returns an error, f may have done its work all the same.
func (l *link) waiting(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nudged := false
	defer func() {
		if nudged {
			l.s.nudge()
		}
	}()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	beat := time.NewTicker(l.s.o.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-beat.C:
			if err := l.beat(ctx); err != nil {
				cancel()
				<-done
				return err
			}
		case <-l.s.again: // a pause ends it; a resync is for the stream behind the copy to see
			if l.s.isPaused() {
				cancel()
				<-done
				return l.pausedNow()
			}
			nudged = true
		case <-l.s.ring:
			if l.s.called() {
				cancel()
				<-done
				return errCalled
			}
		}
	}
}

// pausedNow ends the stream because the slave was paused.
func (l *link) pausedNow() error {
	return l.end(&wire.Bye{Text: "paused"}, fmt.Errorf("%w: paused", errEnd))
}
