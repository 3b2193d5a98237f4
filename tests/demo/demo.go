package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"krealm/deltafile"
	"krealm/tests/testrealm"
)

// demo is the show and what it has found out so far.
type demo struct {
	out     output
	began   time.Time
	realm   *testrealm.Realm
	fixture *testrealm.Fixture
	master  *testrealm.Watch
	slaves  []*testrealm.Watch
	krepds  []*testrealm.Process
	user    string // whose password was changed
	results []result
}

func newDemo(bin, fixture string, stdout io.Writer) (*demo, error) {
	f, err := testrealm.ReadFixture(fixture)
	if err != nil {
		return nil, err
	}
	keep := os.Getenv("KEEP") != ""
	r, err := testrealm.New(testrealm.Options{Bin: bin, Keep: keep, CountLogins: true})
	if err != nil {
		return nil, err
	}
	d := &demo{out: output{stdout}, began: time.Now(), realm: r, fixture: f, user: "anna.albers"}
	return d, nil
}

func (d *demo) close() error {
	for _, w := range append([]*testrealm.Watch{d.master}, d.slaves...) {
		if w != nil {
			w.Close()
		}
	}
	return d.realm.Close()
}

// show runs the steps in order; the first that does not hold ends it.
func (d *demo) show(ctx context.Context) error {
	fmt.Fprintf(d.out.w, "krealm: the realm %s, one master and %d slaves, in %s\n",
		testrealm.RealmName, len(d.realm.Slaves), d.realm.Dir)
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"An MIT realm moves in", d.load},
		{"Master and slaves start; krep fills the empty slaves", d.start},
		{"Changes on the master, and when each slave's database had them", d.changes},
		{"Tickets from a slave's KDC, with the password just changed", d.tickets},
		{"krepd is killed with -9 on slave1 while changes go on", d.crash},
	}
	for i, s := range steps {
		d.out.step(i+1, s.title)
		if err := s.run(ctx); err != nil {
			d.results = append(d.results, result{s.title, "see below", false})
			return err
		}
	}
	return nil
}

func (d *demo) held(what, format string, args ...any) {
	d.results = append(d.results, result{what, fmt.Sprintf(format, args...), true})
}

// current is the state of the master's database.
func (d *demo) current(ctx context.Context) (deltafile.State, error) {
	s, _, err := d.realm.Master.State(ctx)
	return s, err
}
