package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/wire"
	"krealm/kdc/kdb"
)

// Master is the database that slaves are compared with; *kdb.DB is one.
type Master interface {
	Freeze(ctx context.Context) (*kdb.Frozen, error)
	Changes(ctx context.Context, after uint64, max int) ([]*deltafile.Changeset, error)
}

// Slaves answers for slaves; *sender.Set is one.
type Slaves interface {
	Inspect(ctx context.Context, name string, m *wire.Inspect, each func(*wire.Listing) error) (*wire.Sums, error)
}

// Results of a comparison.
const (
	Same    = "same"
	Differs = "differs"
	Unknown = "unknown" // could not be compared; Reason says why
)

// Report is the outcome of a run.
type Report struct {
	Epoch   string  `json:"epoch"`
	Serial  uint64  `json:"serial"` // of the master, when it was read
	Entries int     `json:"entries"`
	ByHand  bool    `json:"changed_by_hand,omitempty"` // the master's rows are not what its changes have made
	Deep    bool    `json:"deep,omitempty"`
	Slaves  []Slave `json:"slaves"` // as they were given
}

// Slave is the outcome for one slave.
type Slave struct {
	Slave   string  `json:"slave"`
	Result  string  `json:"result"`
	Serial  uint64  `json:"serial,omitempty"` // both sides are compared at
	Entries int     `json:"entries,omitempty"`
	Parts   int     `json:"parts_differing,omitempty"`
	ByHand  bool    `json:"changed_by_hand,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Names   []Entry `json:"names,omitempty"` // deep: what differs, at most MaxNames
	More    bool    `json:"more,omitempty"`  // there are more
}

// Entry is one entry that differs.
type Entry struct {
	Kind string `json:"kind"` // principal or policy
	Name string `json:"name"`
	How  string `json:"how"` // differs; missing: on the slave; extra: only there

	NameHex string `json:"name_hex,omitempty"` // the bytes of a name that is not UTF-8
}

// MaxNames bounds the names of one slave in a report, maxNamesBytes those of all, partsAtOnce the parts that are listed in one go.
const (
	MaxNames      = 1000
	maxNamesBytes = 8 << 20 // of all slaves, as JSON: the control socket takes no answer of any length
	partsAtOnce   = 16
)

// Run compares. The error is one of the master's database; trouble with a slave is in the report.
func Run(ctx context.Context, m Master, slaves Slaves, names []string, deep bool) (*Report, error) {
	f, err := m.Freeze(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	c := f.Content()
	if c.State.IsZero() {
		return nil, kdb.ErrEmpty
	}
	r := &Report{Epoch: c.State.Epoch.String(), Serial: c.State.Serial, Entries: c.Count, Deep: deep,
		ByHand: c.Digest() != c.Kept, Slaves: make([]Slave, len(names))}
	v := &run{master: m, slaves: slaves, frozen: f, room: maxNamesBytes / max(1, len(names))}
	var g errgroup.Group
	for i, name := range names {
		g.Go(func() error {
			r.Slaves[i] = v.slave(ctx, name, deep)
			return nil
		})
	}
	_ = g.Wait()
	return r, nil
}

type run struct {
	master Master
	slaves Slaves
	room   int // for the names of one slave, in bytes

	mu     sync.Mutex // a Frozen serves one at a time
	frozen *kdb.Frozen
}

func (v *run) slave(ctx context.Context, name string, deep bool) Slave {
	out := Slave{Slave: name, Result: Unknown}
	parts, err := v.compare(ctx, name, &out)
	if err != nil {
		out.Reason = reason(ctx, err)
		return out
	}
	out.Result = Same
	if out.Parts = len(parts); out.Parts == 0 {
		return out
	}
	out.Result = Differs
	for deep && len(parts) > 0 && !out.More {
		n := min(len(parts), partsAtOnce)
		if err := v.list(ctx, name, parts[:n], &out); err != nil {
			out.Reason = "names not complete: " + reason(ctx, err)
			break
		}
		parts = parts[n:]
	}
	if deep && len(out.Names) == 0 && out.Reason == "" {
		out.Reason = "no longer when looked at again"
	}
	return out
}

// reason words an error for people.
func reason(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return "no answer in time: it may be behind"
	}
	return err.Error()
}

var (
	errEpoch = errors.New("slave is in another epoch")
	errAhead = errors.New("slave is ahead of the master's database")
)

// compare asks for the sums and returns the parts that differ.
func (v *run) compare(ctx context.Context, name string, out *Slave) ([]int, error) {
	at := v.frozen.Content()
	ask := &wire.Inspect{Epoch: uint64(at.State.Epoch), Serial: at.State.Serial}
	sums, err := v.slaves.Inspect(ctx, name, ask, func(*wire.Listing) error { return nil })
	if err != nil {
		return nil, err
	}
	if _, err := v.advance(ctx, &at, sums); err != nil {
		return nil, err
	}
	out.Serial, out.Entries = sums.Serial, int(sums.Count)
	theirs := kdb.Content{}
	var parts []int
	for i := range at.Parts {
		theirs.Parts[i] = sums.Parts[i]
		if at.Parts[i] != theirs.Parts[i] {
			parts = append(parts, i)
		}
	}
	out.ByHand = theirs.Digest() != kdb.Digest(sums.Kept)
	return parts, nil
}

type named struct {
	kind dumpfmt.Kind
	name string
}

type hash = [sha256.Size]byte

// advance brings the frozen content forward to the serial that the slave has answered for, and
// returns what the changes in between leave of the entries they touch.
func (v *run) advance(ctx context.Context, c *kdb.Content, sums *wire.Sums) (map[named]*hash, error) {
	if sums.Epoch != uint64(c.State.Epoch) {
		return nil, errEpoch
	}
	touched := make(map[named]*hash)
	for c.State.Serial < sums.Serial {
		css, err := v.master.Changes(ctx, c.State.Serial, int(min(1000, sums.Serial-c.State.Serial)))
		if err != nil {
			return nil, err
		}
		if len(css) == 0 {
			return nil, errAhead
		}
		for _, cs := range css {
			// The chain tells if the master has begun a new epoch meanwhile.
			if _, _, err := deltafile.Decode(c.State, cs.Raw); err != nil {
				return nil, fmt.Errorf("master's changes: %w", err)
			}
			if err := v.step(c, cs, touched); err != nil {
				return nil, err
			}
		}
	}
	if c.State.Serial != sums.Serial {
		return nil, fmt.Errorf("slave answers for %d, asked for %d", sums.Serial, c.State.Serial)
	}
	return touched, nil
}

func (v *run) step(c *kdb.Content, cs *deltafile.Changeset, touched map[named]*hash) error {
	outcomes, err := kdb.Outcomes(cs)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		k := named{o.Kind, o.Name}
		old, ok := touched[k]
		if !ok {
			if old, err = v.hash(k); err != nil {
				return err
			}
		}
		c.Swap(o.Kind, o.Name, old, o.Hash)
		touched[k] = o.Hash
	}
	c.State = c.State.After(cs)
	return nil
}

func (v *run) hash(k named) (*hash, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frozen.Hash(k.kind, k.name)
}

// list asks for the entries of some parts and notes those that differ.
func (v *run) list(ctx context.Context, name string, parts []int, out *Slave) error {
	var set wire.PartSet
	for _, p := range parts {
		set.Add(p)
	}
	at := v.frozen.Content()
	theirs := make(map[named]hash)
	sums, err := v.slaves.Inspect(ctx, name, &wire.Inspect{Epoch: uint64(at.State.Epoch), Serial: at.State.Serial, Parts: set},
		func(l *wire.Listing) error {
			return l.Items(func(it wire.Item) {
				kind := dumpfmt.KindPrincipal
				if it.Kind == 2 {
					kind = dumpfmt.KindPolicy
				}
				theirs[named{kind, it.Name}] = it.Hash
			})
		})
	if err != nil {
		return err
	}
	touched, err := v.advance(ctx, &at, sums)
	if err != nil {
		return err
	}
	ours, err := v.entries(ctx, &set)
	if err != nil {
		return err
	}
	for k, h := range touched {
		switch {
		case !set.Has(kdb.PartOf(k.kind, k.name)):
		case h == nil:
			delete(ours, k)
		default:
			ours[k] = *h
		}
	}
	out.Serial = sums.Serial
	note(out, ours, theirs, v.room)
	return nil
}

// entries lists the frozen entries of some parts.
func (v *run) entries(ctx context.Context, set *wire.PartSet) (map[named]hash, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make(map[named]hash)
	err := v.frozen.Each(ctx, set.Has, func(it kdb.Item) error {
		out[named{it.Kind, it.Name}] = it.Hash
		return nil
	})
	return out, err
}
