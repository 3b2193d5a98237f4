package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"krealm/dumpfmt"
)

// How many changes step 5 makes before the kill, while krepd is dead, and after it is back.
const (
	changesBefore = 5
	changesDuring = 10
	changesAfter  = 5
)

// crash is step 5: kill -9 in the middle of a row of changes, restart, compare.
func (d *demo) crash(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const total = changesBefore + changesDuring + changesAfter
	made := make(chan error, total)
	go func() { // changes go on, whatever happens to slave1
		for i := range total {
			_, err := d.realm.Master.Kadmin(ctx, fmt.Sprintf("addprinc -policy staff -pw while-Killed-%d walker%02d", i, i))
			made <- err
			if err != nil {
				return
			}
		}
	}()
	wait := func(n int) error {
		for range n {
			if err := <-made; err != nil {
				return err
			}
		}
		return nil
	}
	if err := wait(changesBefore); err != nil {
		return err
	}
	slave := d.realm.Slaves[0]
	d.krepds[0].Kill()
	d.out.fact("slave1: krepd killed", "SIGKILL after %d of %d changes", changesBefore, total)
	if err := wait(changesDuring); err != nil {
		return err
	}
	restart := time.Now()
	p, err := slave.StartKrepd(ctx)
	if err != nil {
		return err
	}
	d.krepds[0] = p
	d.out.fact("slave1: krepd started again", "%d changes later; changes go on", changesDuring)
	if err := wait(changesAfter); err != nil {
		return err
	}
	want, err := d.current(ctx)
	if err != nil {
		return err
	}
	for i, h := range d.realm.Slaves {
		at, err := d.slaves[i].Reached(ctx, want)
		if err != nil {
			return err
		}
		if i == 0 {
			d.out.fact(h.Name+": caught up", "serial %d, %s after the restart", want.Serial, ms(at.Sub(restart)))
		}
	}
	if err := d.compare(ctx); err != nil {
		return err
	}
	status, err := d.realm.Master.Must(ctx, "", "krep", "status")
	if err != nil {
		return err
	}
	d.out.note("krep status:")
	for line := range strings.Lines(status) {
		d.out.note("   %s", strings.TrimRight(line, "\n"))
	}
	return nil
}

// compare dumps all three databases in the form that MIT's replication uses, which carries the
// serial in its first line and leaves out what each KDC counts for itself, and compares the bytes.
func (d *demo) compare(ctx context.Context) error {
	master, err := d.realm.Master.Dump(ctx, "final.dump", "-i1")
	if err != nil {
		return err
	}
	_, digest, err := d.realm.Master.State(ctx)
	if err != nil {
		return err
	}
	for _, h := range d.realm.Slaves {
		slave, err := h.Dump(ctx, "final.dump", "-i1")
		if err != nil {
			return err
		}
		if !bytes.Equal(slave, master) {
			return fmt.Errorf("%s differs from the master: %s", h.Name, firstDifference(master, slave))
		}
		_, theirs, err := h.State(ctx)
		if err != nil {
			return err
		}
		if theirs != digest {
			return fmt.Errorf("%s: content digest %s, the master has %s", h.Name, theirs, digest)
		}
		d.out.fact(h.Name+": kdb5_util dump -i1", "%d bytes, byte-identical to the master's", len(slave))
		d.held(h.Name+" at the end", "caught up; %d bytes of dump, byte-identical to the master's", len(slave))
	}
	d.out.note("Plain dumps differ at most in the three fields that each KDC counts for itself: last success,")
	d.out.note("last failure, failures. They are never replicated; -i1 writes them as 0.")
	d.out.fact("content digest of all three", "%.16s...", digest)
	return nil
}

// firstDifference names the first line in which two dumps differ, by its record's name only: the
// rest of a line is key material.
func firstDifference(a, b []byte) string {
	linesA, linesB := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range linesA {
		if i >= len(linesB) {
			return fmt.Sprintf("the second ends after line %d", len(linesB))
		}
		if !bytes.Equal(linesA[i], linesB[i]) {
			return fmt.Sprintf("line %d: %s / %s", i+1, recordName(linesA[i]), recordName(linesB[i]))
		}
	}
	return fmt.Sprintf("the first ends after line %d", len(linesA))
}

func recordName(line []byte) string {
	_, name, err := dumpfmt.LineName(line)
	if err != nil {
		return "(no record)"
	}
	return name
}
