package testrealm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Client is somebody at a workstation: a krb5.conf that knows one KDC, and a credential cache of
// his own. It uses the stock programs.
type Client struct {
	Dir   string
	Trace string // file with what the stock library traced

	host *Host
	env  []string
}

// Transport says how a Client talks to the KDC.
type Transport string

// UDP first, as the stock client does by itself, or TCP first.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
)

// NewClient makes a client that asks the KDC of this host and no other.
func (h *Host) NewClient(name string, transport Transport) (*Client, error) {
	dir := filepath.Join(h.Dir, "client-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(krb5Conf, RealmName, RealmName, h.KDCPort)
	if transport == TCP {
		conf = strings.Replace(conf, "[libdefaults]", "[libdefaults]\n    udp_preference_limit = 1", 1)
	}
	file := filepath.Join(dir, "krb5.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	env := append(h.Env(), "KRB5_CONFIG="+file, "KRB5CCNAME=FILE:"+filepath.Join(dir, "ccache"))
	c := &Client{host: h, Dir: dir, Trace: filepath.Join(dir, "trace")}
	c.env = append(env, "KRB5_TRACE="+c.Trace)
	return c, nil
}

// Run runs a stock client program with this client's environment.
func (c *Client) Run(ctx context.Context, stdin, program string, args ...string) (Result, error) {
	return c.host.run(ctx, c.env, stdin, program, args...)
}

// Kinit logs in with a password.
func (c *Client) Kinit(ctx context.Context, principal, password string, options ...string) (Result, error) {
	return c.Run(ctx, password+"\n", "kinit", append(options, principal)...)
}

// Kvno asks for service tickets.
func (c *Client) Kvno(ctx context.Context, args ...string) (Result, error) {
	return c.Run(ctx, "", "kvno", args...)
}

// Klist shows the cache: with flags and enctypes.
func (c *Client) Klist(ctx context.Context) (Result, error) {
	return c.Run(ctx, "", "klist", "-f", "-e")
}
