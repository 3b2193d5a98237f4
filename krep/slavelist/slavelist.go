package slavelist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"krealm/dumpfmt"
)

// Limits of a list. A realm with more slaves than MaxSlaves would be fed through relays.
const (
	MaxSlaves = 4096
	maxLine   = 1024    // bytes
	maxFile   = 1 << 20 // bytes
)

// Reasons for which a list is refused; they come wrapped in a SyntaxError.
var (
	ErrAddress   = errors.New("not an address of the form host, host:port or [ipv6]:port")
	ErrPrincipal = errors.New("not a principal name")
	ErrDuplicate = errors.New("slave listed twice")
	ErrFields    = errors.New("more than an address, a principal and \"connects\"")
	ErrTooLong   = errors.New("line or list too long")
)

// SyntaxError says which line of a list was not understood. Line counts from 1.
type SyntaxError struct {
	Line int
	Err  error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("slave list: line %d: %v", e.Line, e.Err) }
func (e *SyntaxError) Unwrap() error { return e.Err }

// Slave is one entry of the list.
type Slave struct {
	Host      string // name or IP address, without brackets, lower case
	Port      int    // 1 to 65535
	Principal string // with realm: "krep/kdc2.example.org@EXAMPLE.ORG"
	Connects  bool   // the slave dials us, as it cannot be dialled
	named     string
}

// Addr returns what to dial: "host:port" with brackets around IPv6 addresses.
func (s Slave) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Name returns the name that identifies the slave in logs, status and commands: the host, with
// the port if it is not the default one.
func (s Slave) Name() string { return s.named }

// connectsWord ends the line of a slave that dials krep.
const connectsWord = "connects"

// Defaults fill what a line leaves out.
type Defaults struct {
	Realm   string // of principals without one
	Port    int    // of addresses without one
	Service string // first component of the principal of a line without one; empty: "krep"
}

// Load reads the list in the named file. Errors are those of Parse, those of the file system,
// and a refusal of files that everybody may write.
func Load(path string, d Defaults) ([]Slave, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("slave list: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("slave list: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o002 != 0 {
		return nil, fmt.Errorf("slave list %q: mode %04o lets everybody write it: %w", path, mode, os.ErrPermission)
	}
	list, err := Parse(f, d)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return list, nil
}

// Parse reads a list. Any error is a *SyntaxError or comes from r; the list is then nil.
func Parse(r io.Reader, d Defaults) ([]Slave, error) {
	var list []Slave
	seen, callers := make(map[string]bool), make(map[string]bool)
	limited := &io.LimitedReader{R: r, N: maxFile + 1}
	sc := bufio.NewScanner(limited)
	sc.Buffer(make([]byte, maxLine), maxLine)
	line := 0
	for sc.Scan() {
		line++
		text, _, _ := strings.Cut(sc.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		s, err := parseLine(fields, d)
		if err == nil && seen[s.Addr()] {
			err = fmt.Errorf("%w: %q", ErrDuplicate, s.Addr())
		}
		if err == nil && s.Connects && callers[s.Principal] {
			err = fmt.Errorf("%w: %q connects", ErrDuplicate, s.Principal)
		}
		if err == nil && len(list) == MaxSlaves {
			err = ErrTooLong
		}
		if err != nil {
			return nil, &SyntaxError{Line: line, Err: err}
		}
		seen[s.Addr()] = true
		callers[s.Principal] = callers[s.Principal] || s.Connects
		list = append(list, s)
	}
	switch {
	case errors.Is(sc.Err(), bufio.ErrTooLong), limited.N <= 0:
		return nil, &SyntaxError{Line: line + 1, Err: ErrTooLong}
	case sc.Err() != nil:
		return nil, fmt.Errorf("slave list: %w", sc.Err())
	}
	return list, nil
}

func parseLine(fields []string, d Defaults) (Slave, error) {
	connects := fields[len(fields)-1] == connectsWord && len(fields) > 1
	if connects {
		fields = fields[:len(fields)-1]
	}
	if len(fields) > 2 {
		return Slave{}, ErrFields
	}
	host, port, err := parseAddr(fields[0], d.Port)
	if err != nil {
		return Slave{}, err
	}
	service := d.Service
	if service == "" {
		service = "krep"
	}
	s := Slave{Host: host, Port: port, Principal: service + "/" + host, Connects: connects, named: host}
	if port != d.Port {
		s.named = s.Addr()
	}
	if len(fields) == 2 {
		s.Principal = fields[1]
	}
	name, err := dumpfmt.ParseName(s.Principal, d.Realm)
	if err != nil {
		return Slave{}, fmt.Errorf("%w: %q: %w", ErrPrincipal, s.Principal, err)
	}
	if name.Realm == "" || len(name.Components) == 0 || name.Components[0] == "" {
		return Slave{}, fmt.Errorf("%w: %q", ErrPrincipal, s.Principal)
	}
	s.Principal = name.String()
	return s, nil
}

// parseAddr splits host, host:port, [ipv6]:port, [ipv6] or a bare IPv6 address.
func parseAddr(s string, defPort int) (host string, port int, err error) {
	bad := fmt.Errorf("%w: %q", ErrAddress, s)
	host, text := s, ""
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), defPort, nil
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, text = s[:i], s[i+1:]
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 || text[0] == '+' {
			return "", 0, bad
		}
	} else {
		port = defPort
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || !a.Is6() {
			return "", 0, bad
		}
		return a.String(), port, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !isHostName(host) {
		return "", 0, bad
	}
	return host, port, nil
}

// isHostName accepts the letters, digits, hyphens and underscores of DNS labels, which leaves
// out everything that could be mistaken for part of a principal, a path or an option.
func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
