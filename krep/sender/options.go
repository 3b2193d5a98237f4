package sender

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/wire"
	"krealm/krep/slave"
)

// Defaults of Options.
const (
	DefaultHeartbeat = 5 * time.Second
	DefaultWindow    = 8 << 20 // bytes sent and not acknowledged
	DefaultMaxCopies = 4       // full copies at a time
	dialTimeout      = 10 * time.Second
	helloTimeout     = 10 * time.Second
	loadTime         = time.Hour       // for a slave to load a full copy: it has one of few places, and holds the delta file
	strangerTime     = time.Minute     // for a slave to say where it is before it may be let go
	aheadWait        = 2 * time.Second // for the delta file to reach a slave that is ahead
	silentHeartbeats = 4               // after as many without a word the slave counts as gone
	batchBytes       = 1 << 20         // taken from the feed at a time
	messageData      = 64 << 10        // bytes of changes or of a full copy in one message; each slave has buffers for one
	ticketMargin     = time.Minute     // before its ticket ends a stream is renewed; at half time, if that is later
	goodbyeTimeout   = time.Second
	brokenAgain      = time.Minute     // a slave that breaks sooner gets its next full copy later
	callerWait       = 8 * time.Second // that a slave which connects is kept: less than it waits for a hello
	goodStream       = time.Minute     // a stream that lasts as long ends what was wrong before
	quickStream      = 5 * time.Second // a stream that ends sooner does not count as a success
)

// Feed is where changes come from; *feed.Feed is one, once its Cursor is adapted.
type Feed interface {
	// View returns where the delta file begins and ends; ok is false before there is one.
	View() (base, last deltafile.State, ok bool)
	// Changed returns a channel that is closed when View changes.
	Changed() <-chan struct{}
	// Cursor returns a place in the history behind a state.
	Cursor(at deltafile.State) Cursor
	// Acked is called when a slave has let go of more of the file.
	Acked()
}

// Cursor hands out changes. Next returns none when there is nothing new; its errors are those
// of feed.Cursor.
type Cursor interface {
	Next(ctx context.Context, limit int64) ([]*deltafile.Changeset, error)
	Close()
}

// Copy is a full copy of the database in its frame.
type Copy interface {
	State() deltafile.State
	Size() int64
	io.ReaderAt
	io.Closer
}

// Source makes full copies.
type Source interface {
	// Copy takes a full copy of the database as it is now, or a little later.
	Copy(ctx context.Context) (Copy, error)
	// Digest returns the digest of the content and the state it belongs to; ok is false
	// for a source that has none.
	Digest(ctx context.Context) (at deltafile.State, digest [32]byte, ok bool)
}

// Options are what all Senders of a realm share.
type Options struct {
	Realm  string
	Feed   Feed
	Source Source
	// Prepare does what Auth needs and may take long, before anybody is dialled: the other end does
	// not wait for it. nil: there is nothing to do.
	Prepare func(ctx context.Context, principal string) error
	// Dial connects to an address, without authentication.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Auth authenticates both ends. It owns nc, also when it fails.
	Auth func(ctx context.Context, nc net.Conn, principal string) (*stream.Conn, error)

	// Paused tells whether a slave begins as a paused one, by its name; nil: none does.
	Paused func(name string) bool
	// Wanted tells whether the administrator wants a slave rebuilt, by its name, since before this start; nil: none.
	Wanted func(name string) bool
	// Rebuilt is called when a slave has loaded a full copy; wanted tells whether another was asked for since. nil: nobody
	// wants to know.
	Rebuilt func(name string, wanted func() bool)

	Log       zerolog.Logger
	Backoff   slave.Backoff  // zero: slave.DefaultBackoff
	Heartbeat time.Duration  // 0: DefaultHeartbeat
	Window    int64          // bytes; 0: DefaultWindow
	MaxCopies int            // 0: DefaultMaxCopies
	Jitter    func() float64 // from 0 to 1; nil: random

	moved *bell // rings when a slave has moved
}

// point is a state as it travels.
func point(s deltafile.State) wire.Point {
	return wire.Point{Epoch: uint64(s.Epoch), Serial: s.Serial, Hash: s.Hash}
}
