package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"krealm/internal/realmconf"
)

// ExitNoAnswer is the exit status of a command that asks a daemon which does not answer.
const ExitNoAnswer = 3

// Fail tells of an error, with hints, and returns ExitFail.
func Fail(stderr io.Writer, program string, err error, hints ...string) int {
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", program, err)
	for _, h := range hints {
		_, _ = fmt.Fprintf(stderr, "%s: hint: %s\n", program, h)
	}
	return ExitFail
}

// Setting is an effective value and where it came from.
type Setting struct{ Name, Value, Source string }

// Settings finds the effective values of a program and remembers each: a flag wins over the files,
// a realm's own relation over one for all realms, and all over the default.
type Settings struct {
	Conf  *realmconf.Conf
	Realm *realmconf.Realm
	Shown []Setting // in the order in which they were asked for
}

// LoadSettings reads the configuration.
func LoadSettings(o realmconf.Options) (*Settings, error) {
	conf, err := realmconf.Load(o)
	if err != nil {
		return nil, err
	}
	realm, err := conf.Realm("")
	if err != nil {
		return nil, err
	}
	return &Settings{Conf: conf, Realm: realm}, nil
}

// Note remembers a value that was found otherwise.
func (s *Settings) Note(name, value, source string) {
	s.Shown = append(s.Shown, Setting{name, value, source})
}

// FromFlag is the source of a setting that a flag has made.
const FromFlag = "command line"

const fromDefault = "default"

// NoteKnown remembers a value that realmconf has found under a name of its own, unless a flag has
// taken its place.
func (s *Settings) NoteKnown(name, value, known string, flagged bool) {
	source := fromDefault
	for _, set := range s.Realm.Settings() {
		if set.Name == known {
			source = set.Source
		}
	}
	if flagged {
		source = FromFlag
	}
	s.Note(name, value, source)
}

// Relation returns the value of a relation of section [krep], or of its flag.
func (s *Settings) Relation(name, flagged, def string) string {
	return s.FirstRelation(flagged, def, name)
}

// FirstRelation is Relation for the first of several names that the files have.
func (s *Settings) FirstRelation(flagged, def string, names ...string) string {
	if flagged != "" {
		s.Note(names[0], flagged, FromFlag)
		return flagged
	}
	for _, name := range names {
		if v := s.values(name); len(v) > 0 {
			s.Note(name, v[0], s.Conf.Profile().Source(s.path(name)...))
			return v[0]
		}
	}
	s.Note(names[0], def, fromDefault)
	return def
}

// Relations returns all values of a relation of section [krep] that may be repeated, or of its flag.
func (s *Settings) Relations(name string, flagged []string) []string {
	values, source := s.values(name), fromDefault
	if len(values) > 0 {
		source = s.Conf.Profile().Source(s.path(name)...)
	}
	if len(flagged) > 0 {
		values, source = flagged, FromFlag
	}
	s.Note(name, strings.Join(values, ", "), source)
	return values
}

func (s *Settings) values(name string) []string { return s.Conf.Profile().Strings(s.path(name)...) }

// path returns where a relation stands: in the realm's part of [krep], or else in [krep] itself.
func (s *Settings) path(name string) []string {
	if own := []string{"krep", s.Realm.Name, name}; s.Conf.Profile().Has(own...) {
		return own
	}
	return []string{"krep", name}
}

// Print writes a table of the settings; values that are not set are shown as "-".
func (s *Settings) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, set := range s.Shown {
		if set.Value == "" {
			set.Value = "-"
		}
		_, _ = fmt.Fprintf(tw, "%s\t= %s\t# %s\n", set.Name, set.Value, set.Source)
	}
	return tw.Flush()
}

var errNoSocket = errors.New("no control socket configured")

// Socket returns the control socket of a running daemon: the flag's, or the first that the
// configuration has under one of the names.
func Socket(realm, flagged string, names ...string) (string, error) {
	if flagged != "" {
		return flagged, nil
	}
	s, err := LoadSettings(realmconf.Options{Realm: realm})
	if err != nil {
		return "", err
	}
	if path := s.FirstRelation("", "", names...); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("%w: set %s in [krep], or use -control", errNoSocket, names[0])
}

// PrintJSON writes a value as indented JSON.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
