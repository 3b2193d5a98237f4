package command

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"krealm/internal/realmconf"
	"krealm/kdc/serve"
)

// addresses adds the realm's to what is listened on. -p stands behind the realm's own
// relations, in front of the defaults.
func (r *servedRealm) addresses(udp, tcp []string) (allUDP, allTCP []string, err error) {
	u, t := r.conf.KDCListen, r.conf.KDCTCPListen
	if r.opts.listen != "" {
		words, err := listenWords(r.opts.listen)
		if err != nil {
			return nil, nil, fmt.Errorf("option -p: %w", err)
		}
		own := func(names ...string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return r.all.Profile().Has("realms", r.conf.Name, n) })
		}
		udpSet := own("kdc_listen", "kdc_ports")
		if !udpSet {
			u = words
		}
		if !own("kdc_tcp_listen", "kdc_tcp_ports") && !udpSet {
			t = words
		}
	}
	add := func(list, more []string) []string {
		for _, a := range more {
			if !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
		return list
	}
	return add(udp, u), add(tcp, t), nil
}

// proxy adds where the realm is reached by the proxy protocol. All realms of a process share one
// certificate: the first that is named.
func (r *servedRealm) proxy(h *serve.HTTPS) error {
	p := r.all.Profile()
	value := func(name string) string {
		v, _ := p.String(r.path(name)...)
		return v
	}
	words, err := listenAt(value("kkdcp_listen"), "443")
	if err != nil {
		return fmt.Errorf("%s: kkdcp_listen: %w", r.source("kkdcp_listen"), err)
	}
	if len(words) == 0 {
		return nil
	}
	for _, a := range words {
		if !slices.Contains(h.Listen, a) {
			h.Listen = append(h.Listen, a)
		}
	}
	if h.CertFile == "" {
		h.CertFile, h.KeyFile = value("kkdcp_certificate"), value("kkdcp_key")
		if h.KeyFile == "" {
			h.KeyFile = h.CertFile
		}
	}
	if h.CertFile == "" {
		return fmt.Errorf("%s: kkdcp_listen without kkdcp_certificate", r.source("kkdcp_listen"))
	}
	return nil
}

// passwordServers are where password changes that come through the proxy protocol are passed on to, as
// a client with this krb5.conf finds them: kpasswd_server, else the hosts of admin_server.
func (r *servedRealm) passwordServers() (addrs []string) {
	p := r.all.Profile()
	add := func(name string, fix func(host, port string) string) {
		for _, word := range p.Strings("realms", r.conf.Name, name) {
			a, err := realmconf.ParseListen(word, "464")
			if err != nil || strings.HasPrefix(a, "/") || strings.Contains(word, "://") {
				continue // a proxy, mostly: not through a second one
			}
			if host, port, err := net.SplitHostPort(a); err == nil && host != "" {
				addrs = append(addrs, fix(host, port))
			}
		}
	}
	add("kpasswd_server", net.JoinHostPort)
	if len(addrs) == 0 {
		add("admin_server", func(host, _ string) string { return net.JoinHostPort(host, "464") }) // its port is kadmin's
	}
	return addrs
}

// source is the place of the relation at path.
func (r *servedRealm) source(name string) string { return r.all.Profile().Source(r.path(name)...) }

// placed adds to the error of an address that cannot be bound where the address comes from.
func (s *server) placed(err error) error {
	var b *serve.BindError
	if !errors.As(err, &b) {
		return err
	}
	for _, r := range s.realms {
		if words, e := listenWords(r.opts.listen); e == nil && slices.Contains(words, b.Addr) {
			return fmt.Errorf("option -p: %w", err)
		}
		for _, set := range r.conf.Settings() {
			if strings.HasSuffix(set.Name, "_listen") && strings.HasPrefix(set.Name, "kdc_") && set.Source != "default" &&
				slices.Contains(strings.Fields(set.Value), b.Addr) {
				return fmt.Errorf("%s: %s: %w", set.Source, set.Name, err)
			}
		}
		var h serve.HTTPS
		if r.proxy(&h) == nil && slices.Contains(h.Listen, b.Addr) {
			return fmt.Errorf("%s: kkdcp_listen: %w", r.source("kkdcp_listen"), err)
		}
	}
	return err
}

// listenWords splits a list of addresses as kdc_listen has them.
func listenWords(list string) ([]string, error) { return listenAt(list, "88") }

// listenAt does so for another default port.
func listenAt(list, port string) ([]string, error) {
	var out []string
	for _, w := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t,;", r) }) {
		a, err := realmconf.ParseListen(w, port)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", w, err)
		}
		out = append(out, a)
	}
	return out, nil
}
