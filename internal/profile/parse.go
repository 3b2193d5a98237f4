package profile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Bounds on what a profile may be; a file beyond them is refused.
const (
	maxFileSize  = 4 << 20  // bytes of one file
	maxTotalSize = 16 << 20 // bytes of all files of a profile
	maxFiles     = 512      // files of a profile, included ones counted
	maxInclude   = 10       // depth of include in include
	maxNesting   = 64       // subsections in subsections
)

// Causes found in a SyntaxError.
var (
	ErrSection       = errors.New("malformed section header")
	ErrSectionNotTop = errors.New("section header inside a subsection")
	ErrRelation      = errors.New("line is neither a relation nor a section header")
	ErrExtraBrace    = errors.New("closing brace without a subsection")
	ErrMissingBrace  = errors.New("open brace expected")
	ErrTooLarge      = errors.New("configuration too large")
	ErrNUL           = errors.New("zero byte in the file")

	errInclude = errors.New("cannot include")
)

// loader carries the bounds from file to file.
type loader struct {
	total int
	read  []string
}

// file parses the file name into root.
func (l *loader) file(name string, root *node, depth int) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return &SyntaxError{File: name, Err: errors.New("not a regular file")}
	}
	if st.Size() > maxFileSize {
		return &SyntaxError{File: name, Err: fmt.Errorf("%w: %d bytes", ErrTooLarge, st.Size())}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	l.read = append(l.read, name)
	return l.parse(name, text, root, depth)
}

func (l *loader) parse(name string, text []byte, root *node, depth int) error {
	l.total += len(text)
	if len(text) > maxFileSize || l.total > maxTotalSize || len(l.read) > maxFiles {
		return &SyntaxError{File: name, Err: ErrTooLarge}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	ps := parser{loader: l, root: root, file: name, depth: depth}
	for ln := range bytes.Lines(text) {
		ps.line++
		line := strings.TrimRight(string(ln), "\r\n")
		if strings.IndexByte(line, 0) >= 0 {
			return ps.fail(ErrNUL)
		}
		if err := ps.parseLine(line); err != nil {
			return err
		}
	}
	return nil // MIT's library lets a file end inside a subsection, and so do we
}

// parser is the state inside one file.
type parser struct {
	loader    *loader
	root      *node
	file      string
	depth     int // of include
	line      int
	started   bool // a section header was seen: what comes before is comment
	wantBrace bool // the last line was "tag ="
	stack     []*node
}

func (ps *parser) fail(err error) error {
	return &SyntaxError{File: ps.file, Line: ps.line, Err: err}
}

func (ps *parser) parseLine(line string) error {
	if dir, ok := directive(line, "include"); ok {
		return ps.include(dir)
	}
	if dir, ok := directive(line, "includedir"); ok {
		return ps.includeDir(dir)
	}
	if !ps.started {
		if !strings.HasPrefix(line, "[") {
			return nil // a comment, or a module line
		}
		ps.started = true
	}
	text := strings.TrimLeft(line, blanks)
	if ps.wantBrace {
		if !strings.HasPrefix(text, "{") {
			return ps.fail(ErrMissingBrace)
		}
		ps.wantBrace = false // what follows on the line is ignored
		return nil
	}
	switch {
	case text == "" || text[0] == '#' || text[0] == ';':
		return nil
	case text[0] == '[':
		return ps.header(text)
	case text[0] == '}':
		if len(ps.stack) < 2 {
			return ps.fail(ErrExtraBrace)
		}
		if strings.HasPrefix(text, "}*") {
			ps.top().final = true
		}
		ps.stack = ps.stack[:len(ps.stack)-1]
		return nil
	}
	return ps.relation(text)
}

const blanks = " \t\v\f\r\n"

// directive recognises "word argument" at the very start of a line.
func directive(line, word string) (arg string, ok bool) {
	rest, ok := strings.CutPrefix(line, word)
	if !ok || rest == "" || !strings.ContainsRune(blanks, rune(rest[0])) {
		return "", false
	}
	return strings.Trim(rest, blanks), true
}

func (ps *parser) top() *node { return ps.stack[len(ps.stack)-1] }

// header takes "[name]" with an optional final marker.
func (ps *parser) header(text string) error {
	if len(ps.stack) > 1 {
		return ps.fail(ErrSectionNotTop)
	}
	name, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return ps.fail(ErrSection)
	}
	sec := ps.open(ps.root, name)
	if after, star := strings.CutPrefix(rest, "*"); star {
		sec.final = true
		rest = after
	}
	if strings.Trim(rest, blanks) != "" {
		return ps.fail(fmt.Errorf("%w: text after ]", ErrSection))
	}
	ps.stack = append(ps.stack[:0], sec)
	return nil
}

// open returns the section name of parent, making it when it is new.
func (ps *parser) open(parent *node, name string) *node {
	if sec := parent.section(name); sec != nil {
		return sec
	}
	sec := &node{name: name, src: position{ps.file, ps.line}}
	parent.children = append(parent.children, sec)
	return sec
}

// relation takes "tag = value", "tag = {" and "tag =".
func (ps *parser) relation(text string) error {
	tag, value, ok := strings.Cut(text, "=")
	tag = strings.TrimRight(tag, blanks)
	if !ok || tag == "" || strings.ContainsAny(tag, blanks) {
		return ps.fail(ErrRelation)
	}
	tag, _, star := strings.Cut(tag, "*")
	value = strings.TrimLeft(value, blanks)
	switch {
	case value == "" || (value[0] == '{' && strings.Trim(value[1:], blanks) == ""):
		if len(ps.stack) >= maxNesting {
			return ps.fail(ErrTooLarge)
		}
		ps.wantBrace = value == ""
		sec := ps.open(ps.top(), tag)
		sec.final = sec.final || star
		ps.stack = append(ps.stack, sec)
		return nil
	case value[0] == '"':
		value = unquote(value[1:])
	default:
		value = strings.TrimRight(value, blanks)
	}
	ps.top().children = append(ps.top().children,
		&node{name: tag, value: value, relation: true, src: position{ps.file, ps.line}})
	return nil
}

// unquote takes what follows an opening quote up to the closing one, or to the end.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'b':
			b.WriteByte('\b')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// include reads a file named by an include line; it starts afresh at the top level.
func (ps *parser) include(name string) error {
	if ps.depth >= maxInclude {
		return ps.fail(fmt.Errorf("%w %q: includes nest deeper than %d", errInclude, name, maxInclude))
	}
	err := ps.loader.file(name, ps.root, ps.depth+1)
	var syn *SyntaxError
	if err == nil || errors.As(err, &syn) {
		return err
	}
	return ps.fail(fmt.Errorf("%w %q: %w", errInclude, name, err))
}

// includeDir reads the files of a directory whose names includeName admits, sorted.
func (ps *parser) includeDir(dir string) error {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return ps.fail(fmt.Errorf("%w directory %q: %w", errInclude, dir, err))
	}
	sort.Slice(ents, func(i, j int) bool { return ents[i].Name() < ents[j].Name() })
	for _, e := range ents {
		if !includeName(e.Name()) {
			continue
		}
		if err := ps.include(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// includeName reports whether includedir takes a file of this name: it ends in .conf
// and does not start with a dot, or has only letters, digits, dashes and underscores.
func includeName(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	if strings.HasSuffix(name, ".conf") {
		return true
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return name != ""
}
