package sender

import (
	"context"
	"errors"
	"fmt"

	"krealm/deltafile"
	"krealm/internal/wire"
	"krealm/krep/slave"
)

// question is an Inspect on its way, and where its answers go.
type question struct {
	m       *wire.Inspect
	answers chan wire.Message // Listings, then a Sums
	over    chan struct{}     // closed when nobody waits for answers any more
	lost    chan struct{}     // closed when the stream has ended that it was sent on; made by the link
}

// errNotStreaming: the slave takes no questions now.
var errNotStreaming = errors.New("slave is not streaming")

// Inspect asks a slave, by its name, for the content of its database, gives each Listing to a
// function and returns the Sums. It waits until the slave is at the serial that m asks about, as
// long as ctx lets it; a slave that is not streaming is an error at once. m.ID is set here. There
// is one Inspect of a slave at a time.
func (t *Set) Inspect(ctx context.Context, name string, m *wire.Inspect, each func(*wire.Listing) error) (*wire.Sums, error) {
	r, err := t.find(name)
	if err != nil {
		return nil, err
	}
	m.ID = r.questions.Add(1)
	q := &question{m: m, answers: make(chan wire.Message), over: make(chan struct{}), lost: make(chan struct{})}
	defer close(q.over)
	if err := r.put(ctx, q); err != nil {
		return nil, err
	}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.lost:
			return nil, errors.New("stream lost before the answer")
		case a := <-q.answers:
			if l, ok := a.(*wire.Listing); ok {
				if err := each(l); err != nil {
					return nil, err
				}
				continue
			}
			sums := a.(*wire.Sums)
			if sums.Problem != "" {
				return nil, fmt.Errorf("slave says: %s", sums.Problem)
			}
			return sums, nil
		}
	}
}

// put hands a question to the stream.
func (s *Sender) put(ctx context.Context, q *question) error {
	for {
		moved := s.o.moved.listen()
		st := s.status(deltafile.State{})
		switch streaming := st.State == slave.Streaming.String(); {
		case !streaming && st.LastError != "":
			return fmt.Errorf("%w: %s: %s", errNotStreaming, st.State, st.LastError)
		case !streaming:
			return fmt.Errorf("%w: %s", errNotStreaming, st.State)
		}
		select {
		case s.ask <- q:
			return nil
		case <-moved: // perhaps the stream has ended
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendQuestion is for the writing goroutine.
func (l *link) sendQuestion(q *question) error {
	l.askedMu.Lock()
	l.asked = append(l.asked, q)
	l.askedMu.Unlock()
	return l.send(q.m)
}

// answer gives what the slave has answered to whoever asked; nobody may be waiting any more.
func (l *link) answer(id uint64, m wire.Message) {
	l.askedMu.Lock()
	var to *question
	kept := l.asked[:0]
	for _, q := range l.asked {
		if q.m.ID == id {
			to = q
		}
		select {
		case <-q.over:
		default:
			kept = append(kept, q)
		}
	}
	l.asked = kept
	l.askedMu.Unlock()
	if to == nil {
		return
	}
	select {
	case to.answers <- m:
	case <-to.over:
	}
}

// loseQuestions tells everybody who still waits that the stream has ended.
func (l *link) loseQuestions() {
	l.askedMu.Lock()
	defer l.askedMu.Unlock()
	for _, q := range l.asked {
		close(q.lost)
	}
	l.asked = nil
}
