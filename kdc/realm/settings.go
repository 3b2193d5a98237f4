package realm

import (
	"fmt"
	"slices"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
)

// Settings is what the configuration says of the realm (docs/protocols/kdc.md section 9).
// Durations are seconds.
type Settings struct {
	Name         string // the realm
	ClockSkew    int64
	MaxLife      int64 // 0: no limit
	MaxRenewLife int64 // 0: not renewable

	Permitted []krbcrypto.Enctype // permitted_enctypes
	AllowRC4  bool                // as session keys
	AllowDES3 bool

	RejectBadTransit bool
	DisablePAC       bool
	RestrictAnon     bool // restrict_anonymous_to_tgt
	DisableLockout   bool // no failure is written
	DisableSuccess   bool // no success is written

	VagueErrors bool // who asks for an unknown or expired client is told 60 and no more
	ASTag       bool // the sealed part of AS replies has application tag 25; else 26, as in MIT krb5

	NoTimestamp bool // encrypted timestamps are neither offered nor looked at
	NoChallenge bool // the same of encrypted challenges

	// StrictClients makes the TGS refuse clients of this realm that are locked, expired, deleted or have
	// to change their password, which MIT krb5 lets go on until their TGTs end.
	StrictClients bool

	ECIndicator string // encrypted_challenge_indicator

	SPAKEGroups     []spake.Group // spake_preauth_groups; none: SPAKE is off
	SPAKEChallenge  spake.Group   // spake_preauth_kdc_challenge: sent unasked; 0: none
	SPAKEIndicators []string      // spake_preauth_indicator

	HostBased      []string // host_based_services; "*" is all
	NoHostReferral []string
	// RealmOf maps a host name to its realm as [domain_realm] does; "" if it says nothing.
	RealmOf func(host string) string
	// TransitPath returns the realms that may lie between client and server by [capaths], and
	// whether capaths speaks of the pair at all.
	TransitPath func(client, server string) ([]string, bool)
}

// Allows reports whether keys of type e may be used at all.
func (s *Settings) Allows(e krbcrypto.Enctype) bool {
	return slices.Contains(s.Permitted, e) && krbcrypto.Supported(e)
}

// AllowsSession reports whether a session key of type e may be made: rc4 and des3 only if the
// configuration says so.
func (s *Settings) AllowsSession(e krbcrypto.Enctype) bool {
	switch e {
	case krbcrypto.ETypeRC4, krbcrypto.ETypeRC4Exp:
		if !s.AllowRC4 {
			return false
		}
	case krbcrypto.ETypeDES3:
		if !s.AllowDES3 {
			return false
		}
	}
	return s.Allows(e)
}

// WireKey makes a key of one that came inside a message. The error is krbcrypto's, also for a
// type that the settings do not permit.
func (s *Settings) WireKey(k krbmsg.EncryptionKey) (*krbcrypto.Key, error) {
	e := krbcrypto.Enctype(k.Etype)
	if !s.Allows(e) {
		return nil, fmt.Errorf("key of type %d is not permitted: %w", k.Etype, krbcrypto.ErrUnsupported)
	}
	return krbcrypto.NewKey(e, k.Value)
}
