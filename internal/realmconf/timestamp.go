package realmconf

import (
	"errors"
	"strings"
	"time"
)

// timestampForms are the absolute forms of MIT krb5 src/lib/krb5/krb/str_conv.c; a two
// digit year is 19yy from 70 on, else 20yy.
var timestampForms = []string{
	"20060102150405", "2006.01.02.15.04.05", "060102150405", "06.01.02.15.04.05", "0601021504",
	"02-Jan-2006:15:04:05",
}

var errTimestamp = errors.New("not a time (YYYYMMDDhhmmss)")

// ParseTimestamp parses an absolute time of kdc.conf, in local time, and returns Unix
// seconds. "0" and "" are 0, never.
func ParseTimestamp(s string) (uint32, error) {
	s = strings.TrimSpace(s)
	if s == "" || s == "0" {
		return 0, nil
	}
	for _, form := range timestampForms {
		if len(form) != len(s) {
			continue
		}
		t, err := time.ParseInLocation(form, s, time.Local)
		if err == nil && t.Unix() >= 0 && t.Unix() <= 1<<32-1 {
			return uint32(t.Unix()), nil
		}
	}
	return 0, errTimestamp
}
