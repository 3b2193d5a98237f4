package realmconf

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"krealm/internal/profile"
	"krealm/internal/quorum"
)

// lookup finds a realm's values, remembers where each came from, and keeps the first error.
type lookup struct {
	prof     *profile.Profile
	realm    string
	settings []Setting
	err      error
}

func (l *lookup) inRealm(tag string) []string { return []string{"realms", l.realm, tag} }
func kdcDefaults(tag string) []string         { return []string{"kdcdefaults", tag} }

// find returns the first of paths that the files have.
func (l *lookup) find(paths [][]string) (text string, path []string, ok bool) {
	for _, p := range paths {
		if s, ok := l.prof.String(p...); ok {
			return s, p, true
		}
	}
	return "", nil, false
}

func (l *lookup) note(name string, v any, path []string) {
	src := "default"
	if path != nil {
		src = l.prof.Source(path...)
	}
	l.settings = append(l.settings, Setting{name, fmt.Sprint(v), src})
}

func (l *lookup) fail(path []string, text string, err error) {
	if l.err == nil {
		l.err = &profile.ValueError{Source: l.prof.Source(path...), Tag: path[len(path)-1], Value: text, Err: err}
	}
}

// value looks a setting up and parses it.
func value[T any](l *lookup, name string, def T, parse func(string) (T, error), paths ...[]string) T {
	text, path, ok := l.find(paths)
	if !ok {
		l.note(name, def, nil)
		return def
	}
	v, err := parse(text)
	if err != nil {
		l.fail(path, text, err)
		return def
	}
	l.note(name, text, path)
	return v
}

func (l *lookup) str(name, def string, paths ...[]string) string {
	return value(l, name, def, func(s string) (string, error) { return s, nil }, paths...)
}

func (l *lookup) boolean(name string, def bool, paths ...[]string) bool {
	return value(l, name, def, profile.ParseBool, paths...)
}

func (l *lookup) duration(name string, def time.Duration, paths ...[]string) time.Duration {
	return value(l, name, def, func(s string) (time.Duration, error) {
		n, err := profile.ParseDelta(strings.TrimSpace(s))
		if err == nil && n < 0 {
			err = profile.ErrDuration
		}
		return time.Duration(n) * time.Second, err
	}, paths...)
}

// ParseWaitTimeout reads how long kadmin.local waits for slaves: 5s, 500ms, or MIT's way to write
// durations; up to quorum.MaxTimeout.
func ParseWaitTimeout(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	if err != nil {
		var seconds int32
		seconds, err = profile.ParseDelta(s)
		d = time.Duration(seconds) * time.Second
	}
	if err != nil || d <= 0 || d > quorum.MaxTimeout {
		return 0, fmt.Errorf("want a duration up to %v", quorum.MaxTimeout)
	}
	return d, nil
}

// words joins the words of all values of all paths.
func (l *lookup) words(name string, paths ...[]string) []string {
	var out []string
	var first []string
	for _, p := range paths {
		for _, v := range l.prof.Strings(p...) {
			if first == nil {
				first = p
			}
			out = append(out, fields(v)...)
		}
	}
	l.note(name, strings.Join(out, " "), first)
	return out
}

// listen parses a list of addresses.
func (l *lookup) listen(name string, def []string, port string, paths ...[]string) []string {
	text, path, ok := l.find(paths)
	if !ok {
		l.note(name, strings.Join(def, " "), nil)
		return def
	}
	var out []string
	for _, w := range fields(text) {
		addr, err := ParseListen(w, port)
		if err != nil {
			l.fail(path, w, err)
			return nil
		}
		out = append(out, addr)
	}
	l.note(name, strings.Join(out, " "), path)
	return out
}

// fields splits a list at blanks, commas and semicolons.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\r\v\f,;", r) })
}

var (
	errListen = errors.New("not an address, a port, address:port, [v6 address]:port or /path")
	errPort   = errors.New("not a port: 0 to 65535")
	errIPv4   = errors.New("not an IPv4 address")
)

// ParseListen brings one word of a listen list into the form "host:port" that net.Listen
// takes, with port where the word has none; a path comes back as it is.
func ParseListen(word, port string) (string, error) {
	if strings.HasPrefix(word, "/") {
		return word, nil
	}
	if isPort(word) {
		return ":" + word, nil
	}
	if host, p, err := net.SplitHostPort(word); err == nil {
		if !isPort(p) {
			return "", errPort
		}
		if err := checkHost(host); err != nil {
			return "", err
		}
		return net.JoinHostPort(host, p), nil
	}
	host := word
	if strings.HasPrefix(word, "[") && strings.HasSuffix(word, "]") {
		host = word[1 : len(word)-1]
	}
	if host == "" || strings.ContainsAny(host, "[]") || (strings.Contains(host, ":") && net.ParseIP(host) == nil) {
		return "", errListen
	}
	if err := checkHost(host); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// checkHost refuses what no name of a host is, nor an address: a port that is too high, an octet
// that is.
func checkHost(host string) error {
	switch {
	case host == "" || strings.Trim(host, "0123456789.") != "" || net.ParseIP(host) != nil:
		return nil
	case strings.Contains(host, "."):
		return errIPv4
	}
	return errPort
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n <= 65535 && s[0] != '+'
}

var errPositive = errors.New("not a positive number")

func parsePositive(s string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	if err != nil || n <= 0 {
		return 0, errPositive
	}
	return int(n), nil
}
