package admin

import (
	"context"

	"krealm/dumpfmt"
)

// StringAttrs returns the string attributes of an entry in the order they were first set.
// ErrUnkPrinc.
func (a *Admin) StringAttrs(ctx context.Context, name string) ([]dumpfmt.StringAttr, error) {
	p, err := a.Principal(ctx, name)
	if err != nil {
		return nil, err
	}
	return p.Strings()
}

// SetStringAttr sets one string attribute; replacing keeps its place. ErrUnkPrinc, or an error
// of dumpfmt if the attributes grow past 65535 bytes.
func (a *Admin) SetStringAttr(ctx context.Context, by, name, key, value string) error {
	return a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		if err := p.SetString(key, value); err != nil {
			return err
		}
		return c.put(p)
	})
}

// DeleteStringAttr removes a string attribute. One that is not there is no error, and the entry
// is written all the same. ErrUnkPrinc.
func (a *Admin) DeleteStringAttr(ctx context.Context, by, name, key string) error {
	return a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		if err := p.DeleteString(key); err != nil {
			return err
		}
		return c.put(p)
	})
}
