package realmconf

import (
	"fmt"
	"strconv"
	"strings"

	"krealm/dumpfmt"
)

// flagName is one spelling of a principal attribute; with invert, +name clears the bit.
type flagName struct {
	name   string
	bit    uint32
	invert bool
}

// flagNames holds every spelling that MIT accepts (src/lib/kadm5/str_conv.c), with
// underscores.
var flagNames = []flagName{
	{"allow_postdated", dumpfmt.AttrDisallowPostdated, true},
	{"postdateable", dumpfmt.AttrDisallowPostdated, true},
	{"disallow_postdated", dumpfmt.AttrDisallowPostdated, false},
	{"allow_forwardable", dumpfmt.AttrDisallowForwardable, true},
	{"forwardable", dumpfmt.AttrDisallowForwardable, true},
	{"disallow_forwardable", dumpfmt.AttrDisallowForwardable, false},
	{"allow_tgs_req", dumpfmt.AttrDisallowTGTBased, true},
	{"tgt_based", dumpfmt.AttrDisallowTGTBased, true},
	{"disallow_tgt_based", dumpfmt.AttrDisallowTGTBased, false},
	{"allow_renewable", dumpfmt.AttrDisallowRenewable, true},
	{"renewable", dumpfmt.AttrDisallowRenewable, true},
	{"disallow_renewable", dumpfmt.AttrDisallowRenewable, false},
	{"allow_proxiable", dumpfmt.AttrDisallowProxiable, true},
	{"proxiable", dumpfmt.AttrDisallowProxiable, true},
	{"disallow_proxiable", dumpfmt.AttrDisallowProxiable, false},
	{"allow_dup_skey", dumpfmt.AttrDisallowDupSkey, true},
	{"dup_skey", dumpfmt.AttrDisallowDupSkey, true},
	{"disallow_dup_skey", dumpfmt.AttrDisallowDupSkey, false},
	{"allow_tickets", dumpfmt.AttrDisallowAllTix, true},
	{"allow_tix", dumpfmt.AttrDisallowAllTix, true},
	{"disallow_all_tix", dumpfmt.AttrDisallowAllTix, false},
	{"preauth", dumpfmt.AttrRequiresPreAuth, false},
	{"requires_pre_auth", dumpfmt.AttrRequiresPreAuth, false},
	{"requires_preauth", dumpfmt.AttrRequiresPreAuth, false},
	{"hwauth", dumpfmt.AttrRequiresHWAuth, false},
	{"requires_hw_auth", dumpfmt.AttrRequiresHWAuth, false},
	{"requires_hwauth", dumpfmt.AttrRequiresHWAuth, false},
	{"needchange", dumpfmt.AttrRequiresPwChange, false},
	{"pwchange", dumpfmt.AttrRequiresPwChange, false},
	{"requires_pwchange", dumpfmt.AttrRequiresPwChange, false},
	{"allow_svr", dumpfmt.AttrDisallowSvr, true},
	{"service", dumpfmt.AttrDisallowSvr, true},
	{"disallow_svr", dumpfmt.AttrDisallowSvr, false},
	{"password_changing_service", dumpfmt.AttrPwChangeService, false},
	{"pwchange_service", dumpfmt.AttrPwChangeService, false},
	{"pwservice", dumpfmt.AttrPwChangeService, false},
	{"md5", dumpfmt.AttrSupportDESMD5, false},
	{"support_desmd5", dumpfmt.AttrSupportDESMD5, false},
	{"new_princ", dumpfmt.AttrNewPrinc, false},
	{"ok_as_delegate", dumpfmt.AttrOKAsDelegate, false},
	{"ok_to_auth_as_delegate", dumpfmt.AttrOKToAuthAsDelegate, false},
	{"no_auth_data_required", dumpfmt.AttrNoAuthDataRequired, false},
	{"lockdown_keys", dumpfmt.AttrLockdownKeys, false},
}

// ParseFlag applies one flag word to attrs: "+name" or "name" sets what the name says,
// "-name" the opposite. Case does not matter and a hyphen is an underscore; a bit mask
// may be given as 0x…. It returns false when the word is not a flag.
func ParseFlag(word string, attrs uint32) (uint32, bool) {
	on := true
	if word != "" && (word[0] == '+' || word[0] == '-') {
		on, word = word[0] == '+', word[1:]
	}
	name := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	bit := uint32(0)
	if hex, ok := strings.CutPrefix(name, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			return attrs, false
		}
		bit = uint32(n)
	}
	for _, f := range flagNames {
		if f.name == name {
			bit = f.bit
			on = on != f.invert
		}
	}
	switch {
	case bit == 0:
		return attrs, false
	case on:
		return attrs | bit, true
	}
	return attrs &^ bit, true
}

// ParseFlags applies a list of flag words, separated by blanks, tabs and commas, to attrs.
func ParseFlags(list string, attrs uint32) (uint32, error) {
	for _, w := range strings.FieldsFunc(list, isListSep) {
		var ok bool
		if attrs, ok = ParseFlag(w, attrs); !ok {
			return 0, fmt.Errorf("unknown flag %q", w)
		}
	}
	return attrs, nil
}
