package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// StringAttr is one string attribute of a principal, as kadmin's set_string makes them.
type StringAttr struct {
	Key, Value string
}

var errStrings = errors.New("dumpfmt: damaged string attributes")

// Strings returns the string attributes in their order; of equal keys the first counts.
func (p *Principal) Strings() ([]StringAttr, error) {
	data, _ := p.FindTL(TLStringAttrs)
	return parseStrings(data)
}

func parseStrings(data []byte) ([]StringAttr, error) {
	var list []StringAttr
	for len(data) > 0 {
		key, rest, ok := bytes.Cut(data, []byte{0})
		if !ok {
			return nil, errStrings
		}
		value, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, errStrings
		}
		list = append(list, StringAttr{Key: string(key), Value: string(value)})
		data = rest
	}
	return list, nil
}

func appendStrings(dst []byte, list []StringAttr) []byte {
	for _, a := range list {
		dst = append(append(dst, a.Key...), 0)
		dst = append(append(dst, a.Value...), 0)
	}
	return dst
}

// SetString sets the attribute key where it stands, or behind the others. It fails, with
// the entry as it was, for a zero byte in key or value, an empty key, more than 65535
// bytes in all, and where the attributes are damaged.
func (p *Principal) SetString(key, value string) error {
	if key == "" || strings.IndexByte(key, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
		return errors.New("dumpfmt: string attribute: empty key or zero byte")
	}
	list, err := p.Strings()
	if err != nil {
		return err
	}
	found := false
	for i := range list {
		if list[i].Key == key {
			list[i].Value = value
			found = true
		}
	}
	if !found {
		list = append(list, StringAttr{Key: key, Value: value})
	}
	data := appendStrings(nil, list)
	if len(data) > maxData {
		return fmt.Errorf("dumpfmt: string attributes of more than %d bytes", maxData)
	}
	p.SetTL(TLStringAttrs, data)
	return nil
}

// DeleteString removes the attribute key; that it does not exist is no error. The element
// stays when the last attribute goes, empty, as MIT leaves it.
func (p *Principal) DeleteString(key string) error {
	data, ok := p.FindTL(TLStringAttrs)
	if !ok {
		return nil
	}
	list, err := parseStrings(data)
	if err != nil {
		return err
	}
	var kept []StringAttr
	for _, a := range list {
		if a.Key != key {
			kept = append(kept, a)
		}
	}
	p.SetTL(TLStringAttrs, appendStrings(nil, kept))
	return nil
}
