package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Profile is what a list of configuration files says.
type Profile struct {
	roots []*node  // one tree per file, in the order given
	files []string // the files that were read, included ones too
}

// node is a section (value and src of its first header) or a relation.
type node struct {
	name     string
	value    string
	relation bool
	final    bool // sections only: later files are not asked
	src      position
	children []*node
}

type position struct {
	file string
	line int
}

// String gives the place as "file:line".
func (p position) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// SyntaxError says where a file stopped being a profile.
type SyntaxError struct {
	File string
	Line int // from 1; 0 when the file as a whole is meant
	Err  error
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// ErrNoFile is returned by Load when none of the files exists.
var ErrNoFile = errors.New("no configuration file found")

// Load reads the files of paths in order; each path may itself be a list separated by
// colons. A file that does not exist is passed over as long as another one does; a
// file that cannot be read or parsed is an error.
func Load(paths ...string) (*Profile, error) {
	p := &Profile{}
	ld := loader{}
	var missing []string
	for _, list := range paths {
		for name := range strings.SplitSeq(list, ":") {
			if name == "" {
				continue
			}
			root := &node{}
			err := ld.file(name, root, 0)
			if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errInclude) {
				missing = append(missing, name)
				continue
			}
			if err != nil {
				return nil, err
			}
			p.roots = append(p.roots, root)
		}
	}
	if len(p.roots) == 0 {
		return nil, fmt.Errorf("%w (looked for %s)", ErrNoFile, strings.Join(missing, ", "))
	}
	p.files = ld.read
	return p, nil
}

// Parse reads one file's text; name stands for it in errors. Include lines are obeyed.
func Parse(name string, text []byte) (*Profile, error) {
	ld := loader{}
	root := &node{}
	if err := ld.parse(name, text, root, 0); err != nil {
		return nil, err
	}
	return &Profile{roots: []*node{root}, files: append([]string{name}, ld.read...)}, nil
}

// Files returns the names of all files read, included ones too, in reading order.
func (p *Profile) Files() []string { return slices.Clone(p.files) }

// sections calls yield with the section node of path in each file that has it, and
// stops after a file in which a node on the way is final.
func (p *Profile) sections(path []string, yield func(*node) bool) {
	for _, n := range p.roots {
		final := false
		for _, name := range path {
			if n = n.section(name); n == nil {
				break
			}
			final = final || n.final
		}
		if n != nil && !yield(n) {
			return
		}
		if final {
			return
		}
	}
}

func (n *node) section(name string) *node {
	for _, c := range n.children {
		if !c.relation && c.name == name {
			return c
		}
	}
	return nil
}

// relations calls yield with each relation of path, in order.
func (p *Profile) relations(path []string, yield func(*node) bool) {
	if len(path) == 0 {
		return
	}
	last := path[len(path)-1]
	p.sections(path[:len(path)-1], func(sec *node) bool {
		for _, c := range sec.children {
			if c.relation && c.name == last && !yield(c) {
				return false
			}
		}
		return true
	})
}

func (p *Profile) first(path []string) *node {
	var found *node
	p.relations(path, func(n *node) bool { found = n; return false })
	return found
}

// String returns the first value of the relation at path (section, subsections, tag).
func (p *Profile) String(path ...string) (string, bool) {
	if n := p.first(path); n != nil {
		return n.value, true
	}
	return "", false
}

// Strings returns all values of the relation at path, in order; nil when there is none.
func (p *Profile) Strings(path ...string) []string {
	var out []string
	p.relations(path, func(n *node) bool { out = append(out, n.value); return true })
	return out
}

// Source returns "file:line" of the first value of the relation at path, or of the
// first header of the section at path; "" when there is neither.
func (p *Profile) Source(path ...string) string {
	if n := p.first(path); n != nil {
		return n.src.String()
	}
	src := ""
	p.sections(path, func(n *node) bool { src = n.src.String(); return false })
	return src
}

// Has reports whether path names a section or a relation.
func (p *Profile) Has(path ...string) bool { return p.Source(path...) != "" }

// Sections returns the names of the subsections of path in order of appearance, each
// once. An empty path asks for the sections of the files.
func (p *Profile) Sections(path ...string) []string { return p.names(path, false, true) }

// Relations returns the tags of the relations of path in order of appearance, each once.
func (p *Profile) Relations(path ...string) []string { return p.names(path, true, false) }

// Names returns the names of both the subsections and the relations of path.
func (p *Profile) Names(path ...string) []string { return p.names(path, true, true) }

func (p *Profile) names(path []string, relations, sections bool) []string {
	var out []string
	seen := map[string]bool{}
	p.sections(path, func(sec *node) bool {
		for _, c := range sec.children {
			if want := (c.relation && relations) || (!c.relation && sections); want && !seen[c.name] {
				seen[c.name] = true
				out = append(out, c.name)
			}
		}
		return true
	})
	return out
}
