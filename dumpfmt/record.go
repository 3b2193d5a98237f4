package dumpfmt

import (
	"bytes"
	"slices"
)

// Record is one line of a dump or delta file: *Principal, *Policy, *DeletePrincipal or
// *DeletePolicy.
type Record interface {
	// AppendLine appends the record's line, LF included, in the form of version v to dst.
	// On an error dst is returned unchanged.
	AppendLine(dst []byte, v Version) ([]byte, error)
}

// Principal is one principal entry, a "princ" line. Times are unsigned Unix seconds, 0 for
// never or not set; lives are seconds.
type Principal struct {
	Name         string // as Name.String prints it, with realm, without the guard of a leading blank
	Attributes   uint32 // Attr bits; unknown ones are kept
	MaxLife      int32  // seconds; 0: no limit from this entry
	MaxRenewLife int32  // seconds; 0: not renewable
	Expire       uint32 // the entry; 0: never
	PwExpire     uint32 // the password; 0: never
	LastSuccess  uint32 // last good AS exchange with preauthentication; not replicated
	LastFailed   uint32 // last failed preauthentication; not replicated
	FailCount    uint32 // failed attempts since the last good one; not replicated
	TL           []TL   // tagged data in the file's order, newest type first; the first of a type counts
	Keys         []Key  // in the file's order: kvno descending as MIT writes them
}

// TL is one element of tagged data. Data nil and empty are the same.
type TL struct {
	Type int16
	Data []byte // at most 65535 bytes
}

// Key is one key of a principal, sealed by the master key.
type Key struct {
	Ver      int16  // 0: no data, 1: key, 2: key and salt
	Kvno     uint16 // 0 is never used for new keys
	Enctype  int16  // of the principal's key
	Sealed   []byte // at most 65535 bytes
	SaltType int16  // Ver 2 only
	Salt     []byte // Ver 2 only, at most 65535 bytes
}

// Policy is one password policy, a "policy" line. Times and lives are seconds.
type Policy struct {
	Name            string // 1 to 1023 bytes without white space
	MinLife         uint32 // of a password; 0: none
	MaxLife         uint32 // of a password; 0: none
	MinLength       uint32
	MinClasses      uint32
	History         uint32 // passwords remembered, the current one included
	MaxFail         uint32 // failed attempts that lock an entry; 0: no lockout. From version 6 on
	FailInterval    uint32 // after which FailCount starts again; 0: never. From version 6 on
	LockoutDuration uint32 // 0: until unlocked. From version 6 on
	Attributes      uint32 // stored only; this and what follows from version 7 on
	MaxTicketLife   uint32 // stored only
	MaxRenewLife    uint32 // stored only
	KeySalts        string // allowed "enctype:salt" list with commas; "" or "-": any
	TL              []TL
}

// DeletePrincipal removes one principal. MIT dump files have no such record: it belongs to
// delta files only.
type DeletePrincipal struct {
	Name string // as in Principal
}

// DeletePolicy removes one policy, in delta files only.
type DeletePolicy struct {
	Name string // as in Policy
}

// Clone returns a deep copy.
func (p *Principal) Clone() *Principal {
	c := *p
	c.TL = cloneTL(p.TL)
	c.Keys = slices.Clone(p.Keys)
	for i := range c.Keys {
		c.Keys[i].Sealed = bytes.Clone(c.Keys[i].Sealed)
		c.Keys[i].Salt = bytes.Clone(c.Keys[i].Salt)
	}
	return &c
}

// Clone returns a deep copy.
func (p *Policy) Clone() *Policy {
	c := *p
	c.TL = cloneTL(p.TL)
	return &c
}

func cloneTL(tl []TL) []TL {
	c := slices.Clone(tl)
	for i := range c {
		c[i].Data = bytes.Clone(c[i].Data)
	}
	return c
}
