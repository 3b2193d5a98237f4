package slave

import "time"

// Backoff is how long to wait between attempts: First after the first failure, twice as long
// after each further one, never more than Cap. It never gives up.
type Backoff struct {
	First, Cap time.Duration
}

// DefaultBackoff finds a restarted krepd again within a fraction of a second and asks a host
// that is down for good twice a minute.
var DefaultBackoff = Backoff{First: 100 * time.Millisecond, Cap: 30 * time.Second}

// Delay returns the wait after the given number of failures in a row. jitter, from 0 to 1,
// shortens it by up to half, so that slaves lost together do not come back together.
func (b Backoff) Delay(failures int, jitter float64) time.Duration {
	d := b.First
	for i := 1; i < failures && d < b.Cap; i++ {
		d *= 2
	}
	d = min(d, b.Cap)
	return d - time.Duration(float64(d)*jitter/2)
}
