package heimdal

import (
	"bytes"
	"math"
	"strings"

	"krealm/dumpfmt"
)

// Entry is one entry of a Heimdal dump.
type Entry struct {
	// Principal is the entry as MIT's, without keys.
	Principal *dumpfmt.Principal
	// Keys are those of all versions, the current one first.
	Keys []Key
	// Aliases are other names of the entry, in string form with realm.
	Aliases []string
	// Lost says what the entry had that has no place in MIT's format, for a warning each.
	Lost []string
}

// Key is one key.
type Key struct {
	Kvno     uint16
	Enctype  int32
	Sealed   bool  // Value is sealed by Heimdal's master key
	MKVNO    int64 // version of that master key; below 0: not known
	Value    []byte
	Old      bool  // of an earlier version than the current one
	Ver      int16 // 1: normal salt, 2: SaltType and Salt
	SaltType int16
	Salt     []byte
}

// Heimdal's flags (HDBFlags in lib/hdb/hdb.asn1), as the numbers of the dump have them.
const (
	flagInitial = 1 << iota
	flagForwardable
	flagProxiable
	flagRenewable
	flagPostdate
	flagServer
	flagClient
	flagInvalid
	flagRequirePreauth
	flagChangePW
	flagRequireHWAuth
	flagOKAsDelegate
	flagUserToUser
	flagImmutable
	flagTrustedForDelegation
	flagAllowKerberos4
	flagAllowDigest
	flagLockedOut
	flagRequirePWChange
	flagMaterialize
	flagVirtualKeys
	flagVirtual
	flagSynthetic
)

// allowed are flags that let something happen, denied those that ask for or forbid something, with
// MIT's bit for the absence of the former and the presence of the latter.
var (
	allowed = map[uint32]uint32{
		flagForwardable: dumpfmt.AttrDisallowForwardable,
		flagProxiable:   dumpfmt.AttrDisallowProxiable,
		flagRenewable:   dumpfmt.AttrDisallowRenewable,
		flagPostdate:    dumpfmt.AttrDisallowPostdated,
		flagServer:      dumpfmt.AttrDisallowSvr,
	}
	denied = map[uint32]uint32{
		flagInitial:              dumpfmt.AttrDisallowTGTBased,
		flagInvalid:              dumpfmt.AttrDisallowAllTix,
		flagLockedOut:            dumpfmt.AttrDisallowAllTix,
		flagRequirePreauth:       dumpfmt.AttrRequiresPreAuth,
		flagRequireHWAuth:        dumpfmt.AttrRequiresHWAuth,
		flagRequirePWChange:      dumpfmt.AttrRequiresPwChange,
		flagChangePW:             dumpfmt.AttrPwChangeService,
		flagOKAsDelegate:         dumpfmt.AttrOKAsDelegate,
		flagTrustedForDelegation: dumpfmt.AttrOKToAuthAsDelegate,
	}
)

func (e *Entry) setFlags(flags uint32) {
	for f, bit := range allowed {
		if flags&f == 0 {
			e.Principal.Attributes |= bit
		}
	}
	for f, bit := range denied {
		if flags&f != 0 {
			e.Principal.Attributes |= bit
		}
	}
	if flags&flagClient == 0 {
		e.lose("that it may not be a client")
	}
	if flags&(flagVirtualKeys|flagVirtual|flagSynthetic) != 0 {
		e.lose("that its keys are derived from others")
	}
}

func (e *Entry) lose(what string) { e.Lost = append(e.Lost, what) }

// life is a number of seconds as MIT's format holds it.
func life(n uint32) int32 { return int32(min(n, math.MaxInt32)) }

// Salt types of Heimdal's are numbers of pre-authentication data (RFC 4120 section 7.5.2).
const (
	saltPassword = 3
	saltAFS3     = 10
)

// Salt types of MIT's.
const (
	mitNoRealm   = 2
	mitOnlyRealm = 3
	mitSpecial   = 4
	mitAFS3      = 5
)

// setSalt gives the key a salt that Heimdal wrote out. One that the name has by itself is not
// stored, as in MIT's own entries.
func (k *Key) setSalt(name dumpfmt.Name, kind uint32, salt []byte) bool {
	components := strings.Join(name.Components, "")
	k.Ver = 2
	switch {
	case kind == saltAFS3:
		k.SaltType = mitAFS3
	case kind != saltPassword:
		return false
	case string(salt) == name.Realm+components:
		k.Ver, salt = 1, nil
	case string(salt) == components:
		k.SaltType = mitNoRealm
	case string(salt) == name.Realm:
		k.SaltType = mitOnlyRealm
	default:
		k.SaltType = mitSpecial
	}
	k.Salt = bytes.Clone(salt)
	return true
}
