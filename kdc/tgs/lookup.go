package tgs

import (
	"slices"
	"strings"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/transit"
)

// findLocalTGT is row 4: the krbtgt entry of the realm that the server is asked in, which must
// be ours.
func findLocalTGT(s *state) *exchange.Refusal {
	const status = "GET_LOCAL_TGT"
	if string(s.sname.Realm) != s.r.Name {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Becausef("server in realm %q", s.sname.Realm)
	}
	e, ok := s.r.LocalTGT()
	if !ok {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Becausef("no entry for the realm's krbtgt")
	}
	k, err := e.First()
	if err == nil {
		_, err = k.Open()
	}
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, status).Because(err)
	}
	s.tgt, s.tgtKey = e, k
	return nil
}

// findServer is row 6, section 5.3: the server's entry, or that of a TGT for a realm nearer to
// it.
func findServer(s *state) *exchange.Refusal {
	e, ok := s.r.Resolve(s.sname.Name, s.sname.Realm)
	spelled, enterprise := realm.Enterprise(s.sname.Name, s.r.Name)
	if !ok && enterprise && spelled.Realm == s.r.Name {
		e, ok = s.r.Resolve(krbmsg.NewName(krbmsg.NTPrincipal, spelled.Components...), []byte(spelled.Realm))
	}
	if ok && !e.Foreign {
		s.take(e)
		return nil
	}
	unknown := exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "LOOKING_UP_SERVER")
	if s.option(modifying | krbmsg.OptEncTktInSkey) {
		return unknown
	}
	if realm.IsTGSName(s.sname.Name) && string(s.sname.Name.Parts[1]) != s.r.Name {
		return s.refer(string(s.sname.Name.Parts[1]))
	}
	var next string
	switch {
	case !s.option(krbmsg.OptCanonicalize):
	case ok: // an alias for a service of another realm
		next = string(e.CRealm)
	case enterprise && spelled.Realm != s.r.Name:
		next = spelled.Realm
	default:
		next = s.hostRealm()
	}
	if next == "" {
		return unknown
	}
	return s.refer(next)
}

// take makes an entry the server. A TGT for another realm than was asked for is a referral, and
// says so by its name.
func (s *state) take(e *realm.Entry) {
	s.server, s.issued = e, s.sname.Name
	if s.referral = e.IsCrossTGS() && !e.CName.Equal(s.sname.Name); s.referral {
		s.issued = e.CName
	}
	s.out.Event.Server = e.Principal.Name
}

// hostRealm returns the realm of the host that a host-based service name is of, "" if the name
// does not lead to another realm.
func (s *state) hostRealm() string {
	n := s.sname.Name
	if len(n.Parts) != 2 || s.r.RealmOf == nil {
		return ""
	}
	service, host := string(n.Parts[0]), string(n.Parts[1])
	switch n.Type {
	case krbmsg.NTSrvHst, krbmsg.NTSrvInst:
	case krbmsg.NTUnknown:
		if !listed(s.r.HostBased, service) {
			return ""
		}
	default:
		return ""
	}
	if listed(s.r.NoHostReferral, service) || !strings.Contains(host, ".") {
		return ""
	}
	if found := s.r.RealmOf(host); found != s.r.Name {
		return found
	}
	return ""
}

// listed reports whether a service is in a list of the configuration, where "*" is all.
func listed(list []string, service string) bool {
	return slices.Contains(list, service) || slices.Contains(list, "*")
}

// refer makes the server the TGT of the realm nearest to the wanted one on the way there.
func (s *state) refer(wanted string) *exchange.Refusal {
	path := s.pathTo(wanted)
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == s.r.Name {
			continue
		}
		name := krbmsg.NewName(krbmsg.NTSrvInst, "krbtgt", path[i])
		e, ok := s.r.Lookup(name, []byte(s.r.Name))
		if !ok {
			continue
		}
		s.take(e)
		s.out.Event.Notes = append(s.out.Event.Notes, "TGS_REQ: issuing TGT "+e.Principal.Name)
		return nil
	}
	return exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "UNKNOWN_SERVER").Becausef("no way to realm %q", wanted)
}

// pathTo returns the realms from ours to another, by the configuration or by the hierarchy of
// their names.
func (s *state) pathTo(wanted string) []string {
	if s.r.TransitPath != nil {
		if via, ok := s.r.TransitPath(s.r.Name, wanted); ok {
			return append(slices.Clone(via), wanted)
		}
	}
	return transit.Path(s.r.Name, wanted)
}
