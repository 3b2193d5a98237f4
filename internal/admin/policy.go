package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
)

// PolicyFields are what an operation sets on a policy; nil leaves a field as it is, or at its
// default in a new one (1 for length, classes and history, else 0). Times are seconds.
type PolicyFields struct {
	MaxLife, MinLife                       *uint32
	MinLength, MinClasses, History         *uint32
	MaxFail, FailInterval, LockoutDuration *uint32
	KeySalts                               *string // "" or "-": any
}

// CreatePolicy makes a policy. It refuses with ErrBadPolicy, ErrDup, ErrBadLength, ErrBadClass,
// ErrBadHistory, ErrBadMinLife, ErrBadKeySalts.
func (a *Admin) CreatePolicy(ctx context.Context, name string, f PolicyFields) error {
	if !validPolicyName(name) {
		return fmt.Errorf("%w", ErrBadPolicy)
	}
	return a.update(ctx, "", func(c *change) error {
		_, err := c.tx.Policy(name)
		if err == nil {
			return fmt.Errorf("%w", ErrDup)
		}
		if !errors.Is(err, kdb.ErrNotFound) {
			return err
		}
		p := &dumpfmt.Policy{Name: name, MinLength: 1, MinClasses: 1, History: 1}
		if err := f.apply(p); err != nil {
			return err
		}
		return c.tx.PutPolicy(p)
	})
}

// ModifyPolicy changes fields of a policy. A maximum life below the minimum is refused only
// when the minimum is given, as in MIT's server. ErrUnkPolicy, and as CreatePolicy.
func (a *Admin) ModifyPolicy(ctx context.Context, name string, f PolicyFields) error {
	return a.update(ctx, "", func(c *change) error {
		p, err := foundPolicy(c.tx.Policy(name))
		if err != nil {
			return err
		}
		if err := f.apply(p); err != nil {
			return err
		}
		return c.tx.PutPolicy(p)
	})
}

// DeletePolicy removes a policy, whoever refers to it. ErrUnkPolicy.
func (a *Admin) DeletePolicy(ctx context.Context, name string) error {
	return a.update(ctx, "", func(c *change) error {
		if _, err := foundPolicy(c.tx.Policy(name)); err != nil {
			return err
		}
		return c.tx.DeletePolicy(name)
	})
}

// Policy returns a policy, or ErrUnkPolicy.
func (a *Admin) Policy(ctx context.Context, name string) (*dumpfmt.Policy, error) {
	return foundPolicy(a.db.Policy(ctx, name))
}

func foundPolicy(p *dumpfmt.Policy, err error) (*dumpfmt.Policy, error) {
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, fmt.Errorf("%w", ErrUnkPolicy)
	}
	return p, err
}

// ListPolicies yields the names that match a pattern, as ListPrincipals does.
func (a *Admin) ListPolicies(ctx context.Context, pattern string) (iter.Seq2[string, error], error) {
	g, err := compileGlob(pattern, false)
	if err != nil {
		return nil, err
	}
	return func(yield func(string, error) bool) {
		for p, err := range a.db.Policies(ctx) {
			if err != nil {
				yield("", err)
				return
			}
			if g.match(p.Name) && !yield(p.Name, nil) {
				return
			}
		}
	}, nil
}

func (f *PolicyFields) apply(p *dumpfmt.Policy) error {
	set(&p.MaxLife, f.MaxLife)
	set(&p.MinLife, f.MinLife)
	set(&p.MinLength, f.MinLength)
	set(&p.MinClasses, f.MinClasses)
	set(&p.History, f.History)
	set(&p.MaxFail, f.MaxFail)
	set(&p.FailInterval, f.FailInterval)
	set(&p.LockoutDuration, f.LockoutDuration)
	switch {
	case f.MinLife != nil && p.MaxLife != 0 && p.MinLife > p.MaxLife:
		return fmt.Errorf("%w", ErrBadMinLife)
	case p.MinLength < 1 || p.MinLength > math.MaxInt32:
		return fmt.Errorf("%w", ErrBadLength)
	case p.MinClasses < 1 || p.MinClasses > 5:
		return fmt.Errorf("%w", ErrBadClass)
	case p.History < 1 || p.History > math.MaxInt32:
		return fmt.Errorf("%w", ErrBadHistory)
	}
	if f.KeySalts == nil {
		return nil
	}
	if strings.ContainsAny(*f.KeySalts, "\t\n\r\v\f") {
		return fmt.Errorf("%w", ErrBadKeySalts)
	}
	p.KeySalts = strings.Join(strings.FieldsFunc(*f.KeySalts, func(r rune) bool { return r == ' ' || r == ',' }), ",")
	if p.KeySalts == "-" {
		p.KeySalts = ""
	}
	return nil
}

// maxPolicyName is what MIT's loader reads of a name, in bytes.
const maxPolicyName = 1023

// validPolicyName admits printable ASCII without the blank, which MIT's own loader breaks on.
func validPolicyName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxPolicyName
}
