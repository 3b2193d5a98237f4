package command

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"krealm/deltafile"
	"krealm/internal/daemon"
	"krealm/krep/delta"
)

// microTime is RFC 3339 in UTC to the microsecond, which is what a delta file knows.
const microTime = "2006-01-02T15:04:05.000000Z"

// printer prints what a delta file says, as a table or as one JSON object a line.
type printer struct {
	w     *bufio.Writer
	json  *json.Encoder // nil: a table
	after uint64        // changesets up to this serial are left out
}

func newPrinter(w io.Writer, asJSON bool, after uint64) *printer {
	p := &printer{w: bufio.NewWriterSize(w, 64<<10), after: after}
	if asJSON {
		p.json = json.NewEncoder(p.w)
		p.json.SetEscapeHTML(false)
	}
	return p
}

// note is what stands between changesets: where a file begins, or what happened to it.
type note struct {
	Type   string `json:"type"` // base, epoch, gap or foreign
	Realm  string `json:"realm"`
	Epoch  string `json:"epoch"`
	Serial uint64 `json:"serial"`
	Time   string `json:"time"`
	Hash   string `json:"hash"`
}

type changeset struct {
	Type    string   `json:"type"` // changeset
	Serial  uint64   `json:"serial"`
	Time    string   `json:"time"`
	Bytes   int      `json:"bytes"` // with its frame
	Hash    string   `json:"hash"`
	Changes []change `json:"changes"`
}

type change struct {
	Op      string `json:"op"`   // put or delete
	Kind    string `json:"kind"` // principal or policy
	Name    string `json:"name"`
	NameHex string `json:"name_hex,omitempty"` // the bytes of a name that is not UTF-8
}

// base prints where the file begins.
func (p *printer) base(kind, text string, s deltafile.State) error {
	if p.json != nil {
		return p.json.Encode(note{kind, s.Realm, s.Epoch.String(), s.Serial, s.Time().Format(microTime), s.Hash.String()})
	}
	_, err := fmt.Fprintf(p.w, "%s: realm %s, epoch %s, from serial %d, %s\n", text, printable(s.Realm), s.Epoch, s.Serial, s.Time().Format(microTime))
	if err == nil && kind == "base" {
		_, err = fmt.Fprintf(p.w, "%10s  %-27s  %s\n", "SERIAL", "TIME", "CHANGE")
	}
	return err
}

func (p *printer) changeset(cs *deltafile.Changeset, changes []delta.Change) error {
	if cs.Serial <= p.after {
		return nil
	}
	when := cs.Time().Format(microTime)
	if p.json == nil {
		serial := fmt.Sprint(cs.Serial)
		for _, c := range changes {
			op, kind := words(c)
			if _, err := fmt.Fprintf(p.w, "%10s  %-27s  %s %s %s\n", serial, when, op, kind, printable(c.Name)); err != nil {
				return err
			}
			serial, when = "", ""
		}
		return nil
	}
	out := changeset{Type: "changeset", Serial: cs.Serial, Time: when, Bytes: len(cs.Raw), Hash: cs.Hash.String(), Changes: []change{}}
	for _, c := range changes {
		one := change{Name: c.Name}
		one.Op, one.Kind = words(c)
		if !utf8.ValidString(c.Name) {
			one.NameHex = hex.EncodeToString([]byte(c.Name))
		}
		out.Changes = append(out.Changes, one)
	}
	return p.json.Encode(out)
}

func words(c delta.Change) (op, kind string) {
	op, kind = "put", "principal"
	if c.Delete() {
		op = "delete"
	}
	if c.Policy() {
		kind = "policy"
	}
	return op, kind
}

func (f *deltaFlags) printerFlags() (asJSON *bool, after *uint64) {
	return f.Bool("json", false, "print one JSON object a line"), f.Uint64("after", 0, "only changes behind this `serial`")
}

func deltaShow(f *deltaFlags, args []string) int {
	asJSON, after := f.printerFlags()
	if status, ok := f.parse(args); !ok {
		return status
	}
	p := newPrinter(f.stdout, *asJSON, *after)
	begun := false
	begin := func(base deltafile.State) error {
		if begun || base.IsZero() {
			return nil
		}
		begun = true
		return p.base("base", f.path, base)
	}
	report, err := delta.Each(f.path, func(base deltafile.State, cs *deltafile.Changeset, changes []delta.Change) error {
		if err := begin(base); err != nil {
			return err
		}
		return p.changeset(cs, changes)
	})
	err = errors.Join(err, begin(report.Base), p.w.Flush())
	switch {
	case errors.Is(err, deltafile.ErrIncomplete):
		return fail(f.stderr, fmt.Errorf("%s: incomplete: it ends within its head", f.path))
	case err != nil:
		return f.fail(err)
	}
	if report.Torn() > 0 {
		_, _ = fmt.Fprintf(f.stderr, "krep: %s behind serial %d are not a whole changeset yet\n", count(int(report.Torn()), "byte"), report.Last.Serial)
	}
	return daemon.ExitOK
}

// deltaFollow prints what a file says and goes on with what is appended, until a signal.
func deltaFollow(f *deltaFlags, args []string) int {
	asJSON, after := f.printerFlags()
	if status, ok := f.parse(args); !ok {
		return status
	}
	ctx, stop := daemon.Interrupts(context.Background())
	defer stop()
	if err := f.follow(ctx, newPrinter(f.stdout, *asJSON, *after)); err != nil && ctx.Err() == nil {
		return f.fail(err)
	}
	return daemon.ExitOK
}

// follow prints until ctx ends. A truncated file and a new epoch are news like any other.
func (f *deltaFlags) follow(ctx context.Context, p *printer) (err error) {
	tail, err := deltafile.OpenTail(f.path, deltafile.State{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tail.Close()) }()
	base, err := tail.Ready(ctx)
	if err == nil {
		err = errors.Join(p.base("base", f.path, base), p.w.Flush())
	}
	for err == nil {
		var css []*deltafile.Changeset
		css, err = tail.Next(ctx)
		if err != nil {
			err = p.turn(err)
		}
		for _, cs := range css {
			var changes []delta.Change
			if changes, err = delta.Changes(cs); err != nil {
				return &deltafile.FormatError{File: f.path, Err: err}
			}
			if err = p.changeset(cs, changes); err != nil {
				return err
			}
		}
		err = errors.Join(err, p.w.Flush())
	}
	return err
}

// turn prints why a file does not go on where it was, and returns nil if it can be followed from
// its base.
func (p *printer) turn(err error) error {
	var epoch *deltafile.EpochError
	var gap *deltafile.GapError
	var foreign *deltafile.ForeignError
	switch {
	case errors.As(err, &epoch):
		p.after = 0 // it was a serial of the old one
		return p.base("epoch", "new epoch", epoch.State)
	case errors.As(err, &gap):
		return p.base("gap", fmt.Sprintf("changes %d to %d were cut off before they were read", gap.After.Serial+1, gap.Base.Serial), gap.Base)
	case errors.As(err, &foreign):
		return p.base("foreign", fmt.Sprintf("another history: change %d has another hash", foreign.File.Serial), foreign.File)
	}
	return err
}
