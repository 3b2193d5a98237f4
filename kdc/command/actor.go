package command

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"krealm/dumpfmt"
)

// actor is the name recorded as modifier: -p, else the principal of the cache of -c, else
// host/HOST with -k, else the first component of the default cache's principal, $USER or the
// login name, with /admin. There is no check; who may write the database file may say
// anything.
func (o *kadminOptions) actor(realm string) (string, error) {
	if o.principal != "" {
		n, err := dumpfmt.ParseName(o.principal, realm)
		if err != nil {
			return "", fmt.Errorf("%w while parsing principal %s", err, o.principal)
		}
		return n.String(), nil
	}
	if o.ccache != "" {
		if n, err := ccachePrincipal(o.ccache); err == nil {
			return n.String(), nil
		}
	}
	if o.keytab {
		host, err := os.Hostname()
		if err != nil {
			return "", err
		}
		return dumpfmt.Name{Realm: realm, Components: []string{"host", strings.ToLower(host)}}.String(), nil
	}
	name := ""
	if n, err := ccachePrincipal(os.Getenv("KRB5CCNAME")); err == nil && len(n.Components) > 0 {
		name = n.Components[0]
	} else if name = os.Getenv("USER"); name == "" {
		u, err := user.Current()
		if err != nil {
			return "", errors.New("unable to figure out a principal name")
		}
		name = u.Username
	}
	return dumpfmt.Name{Realm: realm, Components: []string{name, "admin"}}.String(), nil
}

// maxCcacheHead bounds what is read of a credentials cache.
const maxCcacheHead = 64 << 10

var errCcache = errors.New("not a credentials cache file of version 4")

// ccachePrincipal reads the default principal of a credentials cache file; "" is the default
// cache.
func ccachePrincipal(name string) (dumpfmt.Name, error) {
	path := strings.TrimPrefix(name, "FILE:")
	if path == "" {
		path = fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid())
	}
	f, err := os.Open(path)
	if err != nil {
		return dumpfmt.Name{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCcacheHead))
	if err != nil {
		return dumpfmt.Name{}, err
	}
	return parseCcacheHead(b)
}

// parseCcacheHead takes 05 04, a counted header, and the principal: name type, number of
// components, realm and components, all numbers and lengths with 4 bytes, big end first.
func parseCcacheHead(b []byte) (dumpfmt.Name, error) {
	var n dumpfmt.Name
	if len(b) < 4 || b[0] != 5 || b[1] != 4 {
		return n, errCcache
	}
	skip := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if len(b) < skip+8 {
		return n, errCcache
	}
	count := binary.BigEndian.Uint32(b[skip+4:])
	b = b[skip+8:]
	counted := func() (string, bool) {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return "", false
		}
		end := 4 + int(binary.BigEndian.Uint32(b))
		s := string(b[4:end])
		b = b[end:]
		return s, true
	}
	var ok bool
	if n.Realm, ok = counted(); !ok {
		return n, errCcache
	}
	for range count {
		s, ok := counted()
		if !ok {
			return n, errCcache
		}
		n.Components = append(n.Components, s)
	}
	return n, nil
}
