package pac

import (
	"slices"
	"strconv"
	"strings"
)

// passable names the types of buffers that other KDCs put into PACs ([MS-PAC] section 2.4).
var passable = map[string]uint32{
	"logon_info":       TypeLogonInfo,
	"credentials_info": 2,
	"upn_dns_info":     12,
	"client_claims":    13,
	"device_info":      14,
	"device_claims":    15,
	"attributes_info":  17,
	"requestor":        18,
}

// ours are the types that every KDC makes itself: they are not passed on, whoever asks for it.
var ours = []uint32{TypeServerChecksum, TypeKDCChecksum, TypeClientInfo, TypeDelegation, TypeTicketChecksum, TypeFullChecksum}

// ParseTypes reads a list of buffer types, by name or number, separated by blanks or commas: those
// that a realm is trusted to say something by (section 6.2). Words that are neither, and types
// that a KDC makes itself, are passed over.
func ParseTypes(list string) []uint32 {
	var types []uint32
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		t, ok := passable[strings.ToLower(word)]
		if !ok {
			n, err := strconv.ParseUint(word, 10, 32)
			if err != nil {
				continue
			}
			t = uint32(n)
		}
		if !slices.Contains(ours, t) && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// Passed returns the buffers of the given types, in the order of the PAC. The error is
// ErrMalformed for a type that occurs twice.
func (p *PAC) Passed(types []uint32) ([]Buffer, error) {
	var out []Buffer
	for _, b := range p.Buffers {
		if !slices.Contains(types, b.Type) {
			continue
		}
		if _, err := p.Find(b.Type); err != nil {
			return nil, err
		}
		out = append(out, Buffer{Type: b.Type, Data: b.Data})
	}
	return out, nil
}
