package interop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krb"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/testrealm"
)

// TestPostdated: a ticket for later is of no use until the KDC has validated it, which it does
// not before its time.
func TestPostdated(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	addLines(t, a.KRB5Conf, "[libdefaults]\n\tclockskew = 1\n")
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice", "addprinc -pw pw-bob -allow_postdated bob")
	keytab := a.keytab(ctx, t, "host/svc.a.test")
	a.start(ctx, t)
	c := a.client(t, "later", testrealm.UDP)
	login(ctx, t, c, "alice", "-s", "4s", "-l", "1h", "-r", "2d")
	began := run(ctx, t, c, "klist", "-f")
	if flags := ticketFlags(began); !strings.Contains(flags, "d") || !strings.Contains(flags, "i") || !strings.Contains(flags, "R") {
		t.Fatalf("klist said %s", began)
	}
	result, err := c.Kvno(ctx, "host/svc.a.test")
	fails(t, result, err, "Ticket not yet valid")
	result, err = c.Run(ctx, "", "kinit", "-v")
	fails(t, result, err, "Ticket not yet valid")
	for deadline := time.After(30 * time.Second); ; {
		if result, err = c.Run(ctx, "", "kinit", "-v"); err == nil && result.Status == 0 {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			t.Fatalf("never validated: %s", result.Stderr)
		}
	}
	out := run(ctx, t, c, "klist", "-f")
	if flags := ticketFlags(out); strings.Contains(flags, "i") || !strings.Contains(flags, "d") || !strings.Contains(flags, "R") || !strings.Contains(flags, "I") {
		t.Errorf("klist said %s", out)
	}
	// Start, end and renewal are the postdated ticket's own.
	if was, is := ticketTimes(began), ticketTimes(out); len(was) != 3 || strings.Join(was, " ") != strings.Join(is, " ") {
		t.Errorf("times %q before and %q after", was, is)
	}
	run(ctx, t, c, "kvno", "-k", keytab, "host/svc.a.test")
	run(ctx, t, c, "kinit", "-R")
	result, err = c.Run(ctx, "", "kinit", "-v")
	fails(t, result, err, "KDC can't fulfill requested option") // VALIDATE VALID TICKET
	result, err = a.client(t, "never", testrealm.UDP).Kinit(ctx, "bob", "pw-bob", "-s", "1h")
	fails(t, result, err, "Ticket is ineligible for postdating")
}

var (
	flagsLine = regexp.MustCompile(`(?m)Flags: ([A-Za-z]+)`)
	clock     = regexp.MustCompile(`\d\d/\d\d/\d\d(?:\d\d)? \d\d:\d\d:\d\d`)
)

// ticketFlags is the first ticket's in what klist -f says, ticketTimes its start, end and renewal.
func ticketFlags(klist string) string {
	if m := flagsLine.FindStringSubmatch(klist); m != nil {
		return m[1]
	}
	return ""
}

func ticketTimes(klist string) []string {
	times := clock.FindAllString(klist, -1)
	return times[:min(len(times), 3)]
}

// TestAddresses: a ticket with addresses is good at these, one without them anywhere.
func TestAddresses(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	keytab := a.keytab(ctx, t, "host/svc.a.test")
	a.start(ctx, t)
	for _, c := range []struct {
		name, option, extra string
		listed, good        bool
	}{
		{"this one among them", "-a", "127.0.0.1", true, true},
		{"only others", "-a", "192.0.2.1", true, false},
		{"none", "-A", "127.0.0.1", false, true},
	} {
		for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
			t.Run(c.name+" "+string(transport), func(t *testing.T) {
				client := a.client(t, strings.ReplaceAll(c.name, " ", "-")+"-"+string(transport), transport)
				addLines(t, filepath.Join(client.Dir, "krb5.conf"), "[libdefaults]\n\tnoaddresses = false\n\textra_addresses = "+c.extra+"\n")
				login(ctx, t, client, "alice", c.option, "-f", "-p", "-r", "1d")
				out := run(ctx, t, client, "klist", "-a", "-n")
				if strings.Contains(out, c.extra) != c.listed {
					t.Errorf("klist said %s", out)
				}
				if !c.good {
					result, err := client.Kvno(ctx, "host/svc.a.test")
					fails(t, result, err, "Incorrect net address")
					return
				}
				run(ctx, t, client, "kvno", "-k", keytab, "host/svc.a.test")
				run(ctx, t, client, "kinit", "-R")
				// The service's ticket has the addresses of the one it came from, also after a renewal.
				run(ctx, t, client, "kvno", "-k", keytab, "host/svc.a.test")
				if out := run(ctx, t, client, "klist", "-a", "-n"); strings.Contains(out, c.extra) != c.listed {
					t.Errorf("after the renewal klist said %s", out)
				}
			})
		}
	}
}

// trustAll makes keys between all the sites, both ways.
func trustAll(ctx context.Context, t *testing.T, sites []*site) {
	t.Helper()
	for _, s := range sites {
		for _, other := range sites {
			if other == s {
				continue
			}
			for _, tgt := range []string{other.realm + "@" + s.realm, s.realm + "@" + other.realm} {
				s.kadmin(ctx, t, "addprinc -pw between-"+tgt+" krbtgt/"+tgt)
			}
		}
	}
}

// asService logs a service in, with a configuration that leaves it to KDCs to find realms of
// hosts: the stock client delegates over realms only so.
func (s *site) asService(ctx context.Context, t *testing.T, client, keytab, service string) *testrealm.Client {
	t.Helper()
	c := s.client(t, client, testrealm.UDP)
	file := filepath.Join(c.Dir, "krb5.conf")
	writeFile(t, file, domainRealm.ReplaceAll(readFile(t, file), nil))
	run(ctx, t, c, "kinit", "-f", "-k", "-t", keytab, service+"@"+s.realm)
	return c
}

var domainRealm = regexp.MustCompile(`\[domain_realm\]\n(?:[^\[][^\n]*\n)*`)

// opened opens the last ticket for a service in a client's cache with the service's keytab, and
// its PAC, of which it checks the server's signature.
func opened(t *testing.T, c *testrealm.Client, keytab, service string) (part krbmsg.EncTicketPart, p *pac.PAC) {
	t.Helper()
	kt := must(krb.OpenKeytab(keytab))(t)
	cache, found := readFile(t, filepath.Join(c.Dir, "ccache")), false
	for i := range cache {
		var tkt krbmsg.Ticket
		if cache[i] != 0x61 || tkt.Parse(cache[i:]) != nil || pac.Plain(tkt.SName) != service {
			continue
		}
		for _, key := range kt.Keys(tkt.SName.Unparse(tkt.Realm), tkt.EncPart.Kvno.V, krbcrypto.Enctype(tkt.EncPart.Etype)) {
			plain := must(key.Decrypt(nil, krbcrypto.UsageTicket, tkt.EncPart.Cipher))(t)
			part = krbmsg.EncTicketPart{}
			check(t, part.Parse(plain))
			p = must(pac.Contained(part.AuthData))(t)
			found = true
			if p == nil {
				t.Errorf("the ticket for %s has no PAC", service)
				return part, &pac.PAC{}
			}
			check(t, p.VerifyServer(key))
		}
	}
	if !found {
		t.Fatalf("no ticket for %s in the cache", service)
	}
	return part, p
}

// inNameOf checks that a ticket of a service is in the name of a user, and who delegated it.
func inNameOf(t *testing.T, c *testrealm.Client, keytab, service, user, by string) {
	t.Helper()
	part, p := opened(t, c, keytab, service)
	plain, _, _ := strings.Cut(user, "@")
	if text, at, err := p.Client(); err != nil || text != plain || at != part.AuthTime || part.CName.Unparse(part.CRealm) != user {
		t.Errorf("ticket of %s, PAC of %q (%v); want %s", part.CName.Unparse(part.CRealm), text, err, user)
	}
	if by == "" {
		return
	}
	b := must(p.Find(pac.TypeDelegation))(t)
	if d := must(pac.ParseDelegation(b.Data))(t); d.Target != service || !slices.Equal(d.Via, []string{by}) {
		t.Errorf("delegation %+v", d)
	}
}

// TestS4UAcrossRealms: services act for users of other realms and delegate to services there,
// between two realms of ours, and between ours and a stock KDC as far as that knows how: it
// has no user for a service of another realm and no rule for one, but issues what our KDC's
// referrals lead to, and its referrals lead to what ours issues.
func TestS4UAcrossRealms(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "B.TEST", "MIT.TEST")
	trustAll(ctx, t, sites)
	keytabs := map[string]string{}
	for _, s := range sites {
		domain := strings.ToLower(s.realm)
		keytabs[s.realm] = s.keytab(ctx, t, "HTTP/web."+domain, "HTTP/db."+domain)
		s.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice", "addprinc -pw pw-carol -allow_forwardable carol")
		if !s.stock {
			s.kadmin(ctx, t, "setstr HTTP/db."+domain+` allowed_to_delegate_from "HTTP/web.a.test@A.TEST HTTP/web.b.test@B.TEST HTTP/web.mit.test@MIT.TEST"`)
		}
		s.start(ctx, t)
	}
	for _, from := range sites {
		for _, user := range sites {
			t.Run("self "+from.realm+" for "+user.realm, func(t *testing.T) { selfAcross(ctx, t, from, user, keytabs) })
			for _, target := range sites {
				if user.stock && !from.stock {
					continue // there is no evidence, see selfAcross
				}
				t.Run("delegate "+user.realm+" by "+from.realm+" to "+target.realm, func(t *testing.T) {
					delegateAcross(ctx, t, from, user, target, keytabs)
				})
			}
		}
	}
}

func selfAcross(ctx context.Context, t *testing.T, from, user *site, keytabs map[string]string) {
	web := "HTTP/web." + strings.ToLower(from.realm)
	c := from.asService(ctx, t, "self-"+user.realm, keytabs[from.realm], web)
	result, err := c.Kvno(ctx, "-k", keytabs[from.realm], "-I", "alice@"+user.realm, web)
	if user.stock && !from.stock {
		fails(t, result, err, "not found in Kerberos database") // it does not know the service's enterprise name
		return
	}
	if out := succeeds(t, result, err); !strings.Contains(out, "keytab entry valid") {
		t.Errorf("kvno said %s", out)
	}
	inNameOf(t, c, keytabs[from.realm], web, "alice@"+user.realm, "")
	result, err = c.Kvno(ctx, "-I", "nobody@"+user.realm, web)
	fails(t, result, err, "not found in Kerberos database")
}

func delegateAcross(ctx context.Context, t *testing.T, from, user, target *site, keytabs map[string]string) {
	web, db := "HTTP/web."+strings.ToLower(from.realm), "db."+strings.ToLower(target.realm)
	c := from.asService(ctx, t, "proxy-"+user.realm+"-"+target.realm, keytabs[from.realm], web)
	result, err := c.Kvno(ctx, "-I", "alice@"+user.realm, "-P", "-S", "HTTP", db)
	if target.stock {
		fails(t, result, err, "KDC can't fulfill requested option") // it has no rules
		return
	}
	succeeds(t, result, err)
	inNameOf(t, c, keytabs[target.realm], "HTTP/"+db, "alice@"+user.realm, web+"@"+from.realm)
	result, err = c.Kvno(ctx, "-I", "carol@"+user.realm, "-P", "-S", "HTTP", db)
	fails(t, result, err, "KDC can't fulfill requested option") // evidence is not forwardable
}

// TestS4UThroughRealms: a service, its users and the services it delegates to are in realms that
// have no trust but by a third one.
func TestS4UThroughRealms(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "B.TEST", "C.TEST")
	trustAll(ctx, t, sites[:2])
	trustAll(ctx, t, sites[1:])
	const paths = "[capaths]\n\tA.TEST = {\n\t\tC.TEST = B.TEST\n\t}\n\tC.TEST = {\n\t\tA.TEST = B.TEST\n\t}\n"
	a, c := sites[0], sites[2]
	keytab := a.keytab(ctx, t, "HTTP/web.a.test")
	far := c.keytab(ctx, t, "HTTP/db.c.test")
	c.kadmin(ctx, t, "addprinc -pw pw-alice alice", "setstr HTTP/db.c.test allowed_to_delegate_from HTTP/web.a.test@A.TEST")
	a.kadmin(ctx, t, "addprinc -pw pw-bob bob")
	for _, s := range sites {
		addLines(t, s.KRB5Conf, paths)
		s.start(ctx, t)
	}
	for _, user := range []string{"alice@C.TEST", "bob@A.TEST"} {
		web := a.asService(ctx, t, user, keytab, "HTTP/web.a.test")
		if out := run(ctx, t, web, "kvno", "-k", keytab, "-I", user, "HTTP/web.a.test"); !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno said %s", out)
		}
		inNameOf(t, web, keytab, "HTTP/web.a.test", user, "")
		run(ctx, t, web, "kvno", "-I", user, "-P", "-S", "HTTP", "db.c.test")
		inNameOf(t, web, far, "HTTP/db.c.test", user, "HTTP/web.a.test@A.TEST")
	}
}

// TestS4UByEnterpriseName: the stock client asks its own realm's KDC whose realm an enterprise name is
// of, and goes there if an alias says so. A name nobody knows is refused before anything is asked.
func TestS4UByEnterpriseName(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "B.TEST")
	trustAll(ctx, t, sites)
	a, b := sites[0], sites[1]
	keytab, far := a.keytab(ctx, t, "HTTP/web.a.test"), b.keytab(ctx, t, "HTTP/db.b.test")
	b.kadmin(ctx, t, "addprinc -pw pw-alice alice", "setstr HTTP/db.b.test allowed_to_delegate_from HTTP/web.a.test@A.TEST")
	a.kadmin(ctx, t, "addprinc -pw pw-bob bob")
	alias := &dumpfmt.Principal{Name: `alice\@B.TEST@A.TEST`}
	alias.SetAliasTarget("alice@B.TEST")
	a.add(ctx, t, alias)
	for _, s := range sites {
		s.start(ctx, t)
	}
	web := a.asService(ctx, t, "enterprise", keytab, "HTTP/web.a.test")
	for asked, user := range map[string]string{"bob": "bob@A.TEST", "bob@A.TEST": `bob\@A.TEST@A.TEST`, "alice@B.TEST": `alice\@B.TEST@B.TEST`} {
		run(ctx, t, web, "kvno", "-U", asked, "HTTP/web.a.test")
		part, p := opened(t, web, keytab, "HTTP/web.a.test")
		if text, _, err := p.Client(); err != nil || text != asked || part.CName.Unparse(part.CRealm) != user {
			t.Errorf("kvno -U %s: ticket of %s, PAC of %q, %v", asked, part.CName.Unparse(part.CRealm), text, err)
		}
		run(ctx, t, web, "kvno", "-U", asked, "-P", "-S", "HTTP", "db.b.test")
		part, p = opened(t, web, far, "HTTP/db.b.test")
		if text, _, err := p.Client(); err != nil || text != asked || part.CName.Unparse(part.CRealm) != user {
			t.Errorf("kvno -U %s -P: ticket of %s, PAC of %q, %v", asked, part.CName.Unparse(part.CRealm), text, err)
		}
	}
	for _, nobody := range []string{"nobody", "nobody@A.TEST", "nobody@B.TEST"} {
		result, err := web.Kvno(ctx, "-U", nobody, "HTTP/web.a.test")
		fails(t, result, err, "not found in Kerberos database")
	}
}

// add puts an entry into a site's database that no stock program makes.
func (s *site) add(ctx context.Context, t *testing.T, p *dumpfmt.Principal) {
	t.Helper()
	file := dumpFile(s.Host, "added")
	s.tool(ctx, t, "kdb5_util", "dump", file)
	r := must(dumpfmt.NewReader(bytes.NewReader(readFile(t, file))))(t)
	var out bytes.Buffer
	w := must(dumpfmt.NewWriter(&out, dumpfmt.Version7))(t)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		check(t, w.Write(rec))
	}
	check(t, w.Write(p))
	check(t, w.Flush())
	writeFile(t, file, out.Bytes())
	s.tool(ctx, t, "kdb5_util", "load", file)
}

// TestTransitedChain: four realms in a row, every other one with the stock KDC. Both write the list
// of realms in between, above and below one another, in the same octets.
func TestTransitedChain(t *testing.T) {
	row := []string{"MITA.TEST", "B.TEST", "MIT.B.TEST", "C.MIT.B.TEST"}
	ctx, sites := newSites(t, row...)
	for i := range sites[1:] {
		trustAll(ctx, t, sites[i:i+2])
	}
	const paths = `[capaths]
	MITA.TEST = {
		MIT.B.TEST = B.TEST
		C.MIT.B.TEST = B.TEST
		C.MIT.B.TEST = MIT.B.TEST
	}
	B.TEST = {
		C.MIT.B.TEST = MIT.B.TEST
	}
	MIT.B.TEST = {
		MITA.TEST = B.TEST
	}
	C.MIT.B.TEST = {
		B.TEST = MIT.B.TEST
		MITA.TEST = MIT.B.TEST
		MITA.TEST = B.TEST
	}
`
	keytabs := map[*site]string{}
	for _, s := range sites {
		keytabs[s] = s.keytab(ctx, t, "host/svc."+strings.ToLower(s.realm))
		s.kadmin(ctx, t, "addprinc -pw pw-alice alice")
		addLines(t, s.KRB5Conf, paths)
		s.start(ctx, t)
	}
	for _, c := range []struct {
		from, to int
		want     string
	}{{0, 1, ""}, {0, 2, "B.TEST"}, {0, 3, "B.TEST,MIT."}, {1, 3, "MIT.B.TEST"}, {3, 1, "MIT.B.TEST"}, {3, 0, "B.TEST,MIT."}, {2, 0, "B.TEST"}} {
		from, to := sites[c.from], sites[c.to]
		client, service := from.client(t, "chain-"+to.realm, testrealm.TCP), "host/svc."+strings.ToLower(to.realm)
		login(ctx, t, client, "alice")
		run(ctx, t, client, "kvno", "-k", keytabs[to], service+"@"+to.realm)
		part, _ := opened(t, client, keytabs[to], service)
		if got := string(part.Transited.Contents); got != c.want || part.Flags&krbmsg.FlagTransitChecked == 0 || string(part.CRealm) != from.realm {
			t.Errorf("%s to %s: %s@%s by %q, flags %08x; want %q", from.realm, to.realm, pac.Plain(part.CName), part.CRealm, got, part.Flags, c.want)
		}
	}
}
