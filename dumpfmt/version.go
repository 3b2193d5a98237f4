package dumpfmt

import (
	"bytes"
	"fmt"
	"strconv"
)

// Version is the form of a dump file (MIT krb5 src/kadmin/dbutil/dump.c). Principal lines
// are the same in all but Version4; the forms differ in the fields of a policy.
type Version int

// The forms that MIT 1.20 to 1.23 write and read. Current is kdb5_util's own choice, and
// the form of the lines in a delta file.
const (
	Version4 Version = 4   // -b7, since 1.0: policies of 7 values; no tagged data of type 3
	Version5 Version = 5   // -r13, since 1.2.2: policies of 7 values
	Version6 Version = 6   // -r18, since 1.8: policies of 10 values
	Version7 Version = 7   // since 1.11: policies of 15 values and tagged data
	Iprop    Version = 100 // -i0: as Version5, lockout fields written as 0
	Ipropx   Version = 101 // -i1: as Version7, lockout fields written as 0
	Current          = Version7
)

// String returns "4" to "7", "iprop" or "ipropx".
func (v Version) String() string {
	switch v {
	case Iprop:
		return "iprop"
	case Ipropx:
		return "ipropx"
	}
	return strconv.Itoa(int(v))
}

func (v Version) valid() bool {
	return v >= Version4 && v <= Version7 || v.iprop()
}

func (v Version) iprop() bool { return v == Iprop || v == Ipropx }

// policyValues is the number of values that a policy line of form v has before its tagged
// data, the name included.
func (v Version) policyValues() int {
	switch v {
	case Version4, Version5, Iprop:
		return 7
	case Version6:
		return 10
	}
	return 14
}

// IpropHeader is the position in MIT's update log that an iprop dump states in its header.
type IpropHeader struct {
	Serial    uint32 // last serial number
	Sec, Usec uint32 // its time
}

const headerPrefix = "kdb5_util load_dump version "

func appendHeader(dst []byte, v Version, h IpropHeader) []byte {
	switch v {
	case Iprop:
		return fmt.Appendf(dst, "iprop %d %d %d\n", h.Serial, h.Sec, h.Usec)
	case Ipropx:
		return fmt.Appendf(dst, "ipropx 1 %d %d %d\n", h.Serial, h.Sec, h.Usec)
	}
	return fmt.Appendf(dst, "%s%d\n", headerPrefix, int(v))
}

// parseHeader reads the first line of a dump, without its LF.
func parseHeader(line []byte) (Version, error) {
	digit, ok := bytes.CutPrefix(line, []byte(headerPrefix))
	if !ok || len(digit) != 1 || digit[0] < '4' || digit[0] > '7' {
		return 0, ErrHeader
	}
	return Version(digit[0] - '0'), nil
}

// ipropForms are how an iprop header begins. MIT's kadmind does not write the second, and its
// loader takes it for the first.
var ipropForms = []struct {
	prefix  string
	version Version
}{{"iprop ", Iprop}, {"ipropx 0 ", Iprop}, {"ipropx 1 ", Ipropx}}

// parseIpropHeader reads the first line of an iprop dump, without its LF. Like everything
// here it takes only what MIT writes: single blanks and minimal decimals.
func parseIpropHeader(line []byte) (Version, IpropHeader, error) {
	var v Version
	var rest []byte
	ok := false
	for _, form := range ipropForms {
		if rest, ok = bytes.CutPrefix(line, []byte(form.prefix)); ok {
			v = form.version
			break
		}
	}
	words := bytes.Split(rest, []byte(" "))
	if !ok || len(words) != 3 {
		return 0, IpropHeader{}, ErrIpropHeader
	}
	var n [3]uint32
	for i, w := range words {
		u, err := strconv.ParseUint(string(w), 10, 32)
		if err != nil || strconv.FormatUint(u, 10) != string(w) {
			return 0, IpropHeader{}, ErrIpropHeader
		}
		n[i] = uint32(u)
	}
	return v, IpropHeader{Serial: n[0], Sec: n[1], Usec: n[2]}, nil
}
