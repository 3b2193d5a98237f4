package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// ErrTooMuch says that one changeset cannot hold the input.
var ErrTooMuch = fmt.Errorf("more than %d MiB of lines: split them", deltafile.MaxBody>>20)

var dumpHeaderWord = []byte("kdb5_util load_dump version ")

// ParseLines reads dump-format lines as a legacy tool has them: the lines of a delta file, or what
// kdb5_util dump writes, with its header of version 4 to 7 in front. Each line comes back in the
// canonical form of a delta file. The error is a *dumpfmt.SyntaxError with the line, ErrTooMuch,
// or comes from r.
func ParseLines(r io.Reader) ([][]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, deltafile.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(text) > deltafile.MaxBody {
		return nil, ErrTooMuch
	}
	version, n := dumpfmt.Current, 0
	if bytes.HasPrefix(text, dumpHeaderWord) {
		dump, err := dumpfmt.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		version, n = dump.Version(), 1
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	var lines [][]byte
	for len(text) > 0 {
		n++
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			return nil, &dumpfmt.SyntaxError{Line: n, Err: dumpfmt.ErrTorn}
		}
		line, err := canonical(text[:end], version)
		if err != nil {
			var syntax *dumpfmt.SyntaxError
			if errors.As(err, &syntax) {
				syntax.Line = n
			}
			return nil, err
		}
		lines, text = append(lines, line), text[end:]
	}
	return lines, nil
}

// canonical reads one line and writes it again; what it writes is read once more, strictly.
func canonical(line []byte, v dumpfmt.Version) ([]byte, error) {
	if len(line) > dumpfmt.MaxLine {
		return nil, &dumpfmt.SyntaxError{Err: dumpfmt.ErrTooLong}
	}
	if bytes.HasPrefix(line, []byte("del")) {
		_, err := dumpfmt.ParseDeltaLine(line)
		return line, err
	}
	rec, err := dumpfmt.ParseLine(line, v)
	if err != nil {
		return nil, err
	}
	out, err := rec.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		return nil, err
	}
	_, err = dumpfmt.ParseDeltaLine(out)
	return out, err
}

// Deletions makes the lines that remove principals and policies. realm completes names without
// one; where it is "" they are refused.
func Deletions(realm string, principals, policies []string) ([][]byte, error) {
	var records []dumpfmt.Record
	for _, p := range principals {
		name, err := dumpfmt.ParseName(p, realm)
		if err != nil {
			return nil, fmt.Errorf("principal %q: %w", p, err)
		}
		records = append(records, &dumpfmt.DeletePrincipal{Name: name.String()})
	}
	for _, p := range policies {
		records = append(records, &dumpfmt.DeletePolicy{Name: p})
	}
	var lines [][]byte
	for _, rec := range records {
		line, err := rec.AppendLine(nil, dumpfmt.Current)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// Append appends lines to a delta file for a tool that has no database of ours: as one changeset,
// or one for each line. It is on disk when Append returns. want is the state that a missing file
// is begun with, as in deltafile's AppendLines.
func Append(ctx context.Context, path string, want deltafile.State, lines [][]byte, each bool) (deltafile.State, error) {
	bodies := lines
	if !each && len(lines) > 0 {
		bodies = [][]byte{bytes.Join(lines, nil)}
	}
	return withAppender(path, func(a *deltafile.Appender) (deltafile.State, error) {
		return a.AppendLines(ctx, want, time.Now(), bodies...)
	})
}

// Begin makes a delta file at state want if there is none, or with force begins a new epoch: a
// present file that holds changes is then kept as NAME.EPOCH. It returns where the file ends.
func Begin(ctx context.Context, path string, want deltafile.State, force bool) (deltafile.State, error) {
	return withAppender(path, func(a *deltafile.Appender) (deltafile.State, error) {
		if !force {
			return a.AppendLines(ctx, want, time.Now())
		}
		return a.Append(ctx, want, func(deltafile.State) ([]*deltafile.Changeset, error) { return nil, nil })
	})
}

func withAppender(path string, f func(*deltafile.Appender) (deltafile.State, error)) (s deltafile.State, err error) {
	a, err := deltafile.OpenAppender(path, deltafile.AppenderOptions{Sync: true})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return f(a)
}
