package dumpfmt

// Attribute bits of a principal (MIT krb5 src/include/kdb.h). The name in the comment is
// kadmin's flag.
const (
	AttrDisallowPostdated   uint32 = 0x00000001 // -allow_postdated
	AttrDisallowForwardable uint32 = 0x00000002 // -allow_forwardable
	AttrDisallowTGTBased    uint32 = 0x00000004 // -allow_tgs_req
	AttrDisallowRenewable   uint32 = 0x00000008 // -allow_renewable
	AttrDisallowProxiable   uint32 = 0x00000010 // -allow_proxiable
	AttrDisallowDupSkey     uint32 = 0x00000020 // -allow_dup_skey
	AttrDisallowAllTix      uint32 = 0x00000040 // -allow_tix
	AttrRequiresPreAuth     uint32 = 0x00000080 // +requires_preauth
	AttrRequiresHWAuth      uint32 = 0x00000100 // +requires_hwauth
	AttrRequiresPwChange    uint32 = 0x00000200 // +needchange
	AttrDisallowSvr         uint32 = 0x00001000 // -allow_svr
	AttrPwChangeService     uint32 = 0x00002000 // +password_changing_service
	AttrSupportDESMD5       uint32 = 0x00004000 // obsolete
	AttrNewPrinc            uint32 = 0x00008000 // obsolete
	AttrOKAsDelegate        uint32 = 0x00100000 // +ok_as_delegate
	AttrOKToAuthAsDelegate  uint32 = 0x00200000 // +ok_to_auth_as_delegate
	AttrNoAuthDataRequired  uint32 = 0x00400000 // +no_auth_data_required
	AttrLockdownKeys        uint32 = 0x00800000 // +lockdown_keys
)

// attrNames are MIT's names of the attribute bits, lowest bit first.
var attrNames = []struct {
	bit  uint32
	name string
}{
	{AttrDisallowPostdated, "DISALLOW_POSTDATED"},
	{AttrDisallowForwardable, "DISALLOW_FORWARDABLE"},
	{AttrDisallowTGTBased, "DISALLOW_TGT_BASED"},
	{AttrDisallowRenewable, "DISALLOW_RENEWABLE"},
	{AttrDisallowProxiable, "DISALLOW_PROXIABLE"},
	{AttrDisallowDupSkey, "DISALLOW_DUP_SKEY"},
	{AttrDisallowAllTix, "DISALLOW_ALL_TIX"},
	{AttrRequiresPreAuth, "REQUIRES_PRE_AUTH"},
	{AttrRequiresHWAuth, "REQUIRES_HW_AUTH"},
	{AttrRequiresPwChange, "REQUIRES_PWCHANGE"},
	{AttrDisallowSvr, "DISALLOW_SVR"},
	{AttrPwChangeService, "PWCHANGE_SERVICE"},
	{AttrSupportDESMD5, "SUPPORT_DESMD5"},
	{AttrNewPrinc, "NEW_PRINC"},
	{AttrOKAsDelegate, "OK_AS_DELEGATE"},
	{AttrOKToAuthAsDelegate, "OK_TO_AUTH_AS_DELEGATE"},
	{AttrNoAuthDataRequired, "NO_AUTH_DATA_REQUIRED"},
	{AttrLockdownKeys, "LOCKDOWN_KEYS"},
}

// AttrName returns MIT's name of one attribute bit, as tabdump and getprinc print it, and "" for
// a bit without one.
func AttrName(bit uint32) string {
	for _, a := range attrNames {
		if a.bit == bit {
			return a.name
		}
	}
	return ""
}

// Types of tagged data (MIT krb5 src/include/kdb.h). kadmin clients may set types from
// 256 on only.
const (
	TLLastPwdChange     int16 = 1      // uint32 LE time
	TLModPrinc          int16 = 2      // uint32 LE time, name, NUL; mandatory in MIT entries
	TLKadmData          int16 = 3      // XDR, see KadmData; left out of version 4 files
	TLKadm5EData        int16 = 4      // unused, kept
	TLRB1Challenge      int16 = 5      // unused, kept
	TLSecurIDState      int16 = 6      // unused, kept
	TLUserCertificate   int16 = 7      // unused, kept
	TLMKVNO             int16 = 8      // uint16 LE: master key version that seals the entry's keys
	TLActKVNO           int16 = 9      // K/M only, see ActKVNO
	TLMkeyAux           int16 = 10     // K/M only, see MkeyAux
	TLStringAttrs       int16 = 11     // key NUL value NUL, repeated
	TLAliasTarget       int16 = 12     // name, NUL
	TLLDAPObject        int16 = 255    // LDAP module only, kept
	TLPACLogonInfo      int16 = 0x0100 // NDR, kept
	TLServerReferral    int16 = 0x0200 // DER, kept
	TLSvrReferralData   int16 = 0x0300 // DER PA-SVR-REFERRAL-DATA
	TLConstrainedDelACL int16 = 0x0400 // one target name, may repeat
	TLLMKey             int16 = 0x0500 // unused, kept
	TLX509SubjectIssuer int16 = 0x0600 // text, kept
	TLLastAdminUnlock   int16 = 0x0700 // uint32 LE time
	TLDBArgs            int16 = 0x7fff // transport of -x arguments; never stored, refused in files
)
