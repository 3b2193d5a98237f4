package krb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// Ticket is a service ticket with its session key.
type Ticket struct {
	Client  dumpfmt.Name
	Service string         // principal, with realm
	Raw     []byte         // DER, as the KDC encoded it
	Key     *krbcrypto.Key // session key
	End     time.Time

	got time.Time
}

// fresh tells whether the ticket is good for a while: five minutes, or half its life.
func (t *Ticket) fresh() bool {
	return t != nil && time.Until(t.End) > min(renewBefore, max(t.End.Sub(t.got)/2, 0))
}

// Client gets service tickets with a keytab. It is safe for concurrent use once set up.
type Client struct {
	Principal string // with realm: the client
	Keytab    *Keytab
	KDCs      func(realm string) []string // "host" or "host:port"; none: DNS is asked
	Skew      time.Duration               // how far the KDC's clock may differ; 0: 5 minutes

	mu    sync.Mutex
	cache map[string]*Ticket // by service
}

// renewBefore is how long a ticket must still be good for to be handed out again, unless its life is
// a short one.
const renewBefore = 5 * time.Minute

// Ticket returns a ticket for the service, from memory if there is one that is good for a while.
//
// The error joins what the KDCs said, in the order asked; a *KDCError in it is the answer of
// one of them.
func (c *Client) Ticket(ctx context.Context, service string) (*Ticket, error) {
	c.mu.Lock()
	t := c.cache[service]
	c.mu.Unlock()
	if t.fresh() {
		return t, nil
	}
	t, err := c.fetch(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("ticket for %q: %w", service, err)
	}
	t.got = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache == nil {
		c.cache = make(map[string]*Ticket)
	}
	c.cache[service] = t
	return t, nil
}

// Forget drops the ticket for a service, because the service would not take it: its key may have
// changed.
func (c *Client) Forget(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cache, service)
}

// fetch asks the KDCs one after the other: a replica may not know yet what the next one knows.
func (c *Client) fetch(ctx context.Context, service string) (*Ticket, error) {
	client, err := dumpfmt.ParseName(c.Principal, "")
	if err != nil {
		return nil, err
	}
	server, err := dumpfmt.ParseName(service, client.Realm)
	if err != nil {
		return nil, err
	}
	if server.Realm != client.Realm {
		return nil, fmt.Errorf("realm %q is not the client's", server.Realm)
	}
	kdcs, err := c.kdcs(ctx, client.Realm)
	if err != nil {
		return nil, err
	}
	kvnos, err := c.kvnos()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range kdcs {
		for _, kvno := range kvnos {
			x := &exchange{client: client, server: server, kvno: kvno, keytab: c.Keytab, skew: c.Skew,
				ask: func(req []byte) ([]byte, error) { return ask(ctx, addr, req) }}
			t, err := x.run()
			if err == nil {
				return t, nil
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			errs = append(errs, fmt.Errorf("kdc %s: %w", addr, err))
			if !wrongKey(err) {
				break
			}
		}
	}
	return nil, errors.Join(errs...)
}

// maxKvnos is how many versions of the client's key are tried: in a rotation the KDC may know
// the newest, or not yet.
const maxKvnos = 3

// kvnos returns the versions of the client's key in the keytab, newest first.
func (c *Client) kvnos() ([]uint32, error) {
	if err := c.Keytab.refresh(); err != nil {
		return nil, err
	}
	c.Keytab.mu.Lock()
	defer c.Keytab.mu.Unlock()
	var out []uint32
	for _, e := range c.Keytab.entries {
		if e.Principal == c.Principal && slices.Contains(etypes, e.Key.Enctype()) && !slices.Contains(out, e.Kvno) {
			out = append(out, e.Kvno)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%q in %q: %w", c.Principal, c.Keytab.path, ErrNoEntry)
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out[:min(len(out), maxKvnos)], nil
}

// ServicePrincipal chooses the principal to act as from a keytab: want if it is given, else
// SERVICE/HOST, else the only principal of that service.
func ServicePrincipal(k *Keytab, want, service, host, realm string) (string, error) {
	if want != "" {
		n, err := dumpfmt.ParseName(want, realm)
		if err != nil {
			return "", err
		}
		want = n.String()
	}
	var candidates []string
	for _, p := range k.Principals() {
		if p == want || want == "" && strings.EqualFold(p, service+"/"+host+"@"+realm) {
			return p, nil
		}
		if strings.HasPrefix(p, service+"/") && strings.HasSuffix(p, "@"+realm) {
			candidates = append(candidates, p)
		}
	}
	switch {
	case want != "":
		return "", fmt.Errorf("%q in %q: %w", want, k.path, ErrNoEntry)
	case len(candidates) == 1:
		return candidates[0], nil
	case len(candidates) == 0:
		return "", fmt.Errorf("a %s/HOST@%s in %q: %w", service, realm, k.path, ErrNoEntry)
	}
	return "", fmt.Errorf("keytab %q holds several %s principals and none is of host %q: %s",
		k.path, service, host, strings.Join(candidates, ", "))
}
