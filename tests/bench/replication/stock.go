package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"krealm/tests/testrealm"
)

// The stock pair looks like this: the master has kadmind, the slave kpropd, which polls kadmind. The
// slave begins with a dump that carries the master's position, so that kprop has nothing to do.
const (
	stockRealm = `[realms]
    %[1]s = {
        database_name = %[2]s
        key_stash_file = %[3]s
        acl_file = %[4]s
        admin_keytab = %[5]s
        kdc_listen = 127.0.0.1:%[9]d
        kdc_tcp_listen = 127.0.0.1:%[9]d
        kadmind_port = %[6]d
        kpasswd_port = %[7]d
        iprop_enable = true
        iprop_port = %[8]d
        iprop_replica_poll = 1s
        iprop_ulogsize = 20000
    }
[dbmodules]
    %[1]s = {
        disable_last_success = true
        disable_lockout = true
    }
`
	stockKRB5 = `[libdefaults]
    default_realm = %[1]s
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    allow_rc4 = true
    allow_des3 = true
[realms]
    %[1]s = {
        kdc = 127.0.0.1:%[2]d
        admin_server = localhost:%[3]d
    }
[domain_realm]
    localhost = %[1]s
`
)

// stockPatience is a few rounds of kpropd's, with its pauses after errors.
const stockPatience = 40 * time.Second

// stockPair is MIT's master and slave, running.
type stockPair struct {
	master, slave   *testrealm.Host
	kadmind, kpropd *testrealm.Process
}

func (s *settings) measureStock(ctx context.Context) (r script, err error) {
	realm, err := testrealm.New(testrealm.Options{Bin: s.bin, Slaves: []string{"slave1"}})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, realm.Close()) }()
	p, err := startStock(ctx, realm, s.fixture)
	if err != nil {
		return r, err
	}
	return p.script(ctx)
}

func startStock(ctx context.Context, realm *testrealm.Realm, fixture string) (*stockPair, error) {
	p := &stockPair{master: realm.Master, slave: realm.Slaves[0]}
	spare, err := realm.AddHost("spare") // for its ports
	if err != nil {
		return nil, err
	}
	last, err := realm.AddHost("last")
	if err != nil {
		return nil, err
	}
	keytab, acl := filepath.Join(realm.Dir, "iprop.keytab"), filepath.Join(realm.Dir, "acl")
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(acl, []byte("kiprop/"+name+"@"+testrealm.RealmName+" p\n"), 0o600)
	for _, h := range []*testrealm.Host{p.master, p.slave} {
		kdc := fmt.Sprintf(stockRealm, testrealm.RealmName, h.Database, h.Stash, acl, keytab, spare.KDCPort, spare.KrepdPort, last.KDCPort, p.master.KDCPort)
		krb5 := fmt.Sprintf(stockKRB5, testrealm.RealmName, p.master.KDCPort, spare.KDCPort)
		err = errors.Join(err, os.WriteFile(h.KDCConf, []byte(kdc), 0o600), os.WriteFile(h.KRB5Conf, []byte(krb5), 0o600),
			testrealm.CopyFile(h.Stash, filepath.Join(fixture, "stash")))
	}
	if err != nil {
		return nil, err
	}
	dump := filepath.Join(realm.Dir, "start.dump")
	fixtureDump, err := filepath.Abs(filepath.Join(fixture, "realm.dump"))
	if err != nil {
		return nil, err
	}
	service, own := "kiprop/localhost", "kiprop/"+name
	for _, step := range []struct {
		host *testrealm.Host
		line []string
	}{
		{p.master, []string{"kdb5_util", "-r", testrealm.RealmName, "load", fixtureDump}},
		{p.master, []string{"kadmin.local", "-q", "addprinc -clearpolicy -randkey " + service}},
		{p.master, []string{"kadmin.local", "-q", "addprinc -clearpolicy -randkey " + own}},
		{p.master, []string{"kadmin.local", "-q", "ktadd -k " + keytab + " " + service + " " + own}},
		{p.master, []string{"kdb5_util", "-r", testrealm.RealmName, "dump", "-i1", dump}},
		{p.slave, []string{"kdb5_util", "-r", testrealm.RealmName, "load", "-i", dump}},
	} {
		if _, err := step.host.Must(ctx, "", step.line[0], step.line[1:]...); err != nil {
			return nil, err
		}
	}
	if _, err := p.master.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName); err != nil {
		return nil, err
	}
	for _, h := range []*testrealm.Host{spare, last, p.slave} { // for kadmind and kpropd
		h.Release()
	}
	if p.kadmind, err = p.master.Start(ctx, "kadmind", "-nofork", "-r", testrealm.RealmName); err != nil {
		return nil, err
	}
	p.kpropd, err = p.slave.StartSaying(ctx, "Incremental", "kpropd", "-D", "-d", "-r", testrealm.RealmName, "-s", keytab,
		"-P", fmt.Sprint(p.slave.KrepdPort), "-F", p.slave.Database, "-f", filepath.Join(p.slave.Dir, "from_master"), "-a", acl)
	if err != nil {
		return nil, err
	}
	return p, p.caughtUp(ctx)
}

// ulog reads serial and time of the last update from the head of a host's update log (MIT krb5
// src/include/iprop_hdr.h, kdb_hlog_t): in the order of octets of the machine.
func ulog(h *testrealm.Host) (serial, sec, usec uint32, err error) {
	f, err := os.Open(h.Database + ".ulog")
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	var b [40]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return 0, 0, 0, err
	}
	at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[i:]) }
	return at(32), at(20), at(24), nil
}

// caughtUp returns when the slave has the master's last update.
func (p *stockPair) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stockPatience)
	defer cancel()
	want, sec, usec, err := ulog(p.master)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		got, s, u, err := ulog(p.slave)
		if err == nil && got == want && s == sec && u == usec {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("slave has update %d, the master %d: %w\n%s", got, want, errors.Join(err, ctx.Err()), p.kpropd.Log())
		case <-tick.C:
		}
	}
}

func (p *stockPair) cpu() (float64, error) {
	a, errA := cpuTime(p.kadmind.Pid())
	b, errB := cpuTime(p.kpropd.Pid())
	return a + b, errors.Join(errA, errB)
}

// script does what pair.script does.
func (p *stockPair) script(ctx context.Context) (script, error) {
	r := script{changes: scriptChanges}
	var list []time.Duration
	for i := range singleCommand {
		text := fmt.Sprintf("modprinc -maxlife \"%d seconds\" carla.dahl\n", 3000+i)
		_, err := p.master.Must(ctx, text, "kadmin.local", "-r", testrealm.RealmName)
		ended := time.Now()
		if err == nil {
			err = p.caughtUp(ctx)
		}
		if err != nil {
			return r, err
		}
		list = append(list, time.Since(ended))
	}
	r.single = spreadOf(list)
	before, err := p.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	out, err := p.master.Must(ctx, commands(scriptChanges), "kadmin.local", "-r", testrealm.RealmName)
	if err == nil && strings.Count(out, "modified") < scriptChanges {
		err = errors.New("kadmin.local did not make all changes")
	}
	if err == nil {
		err = p.caughtUp(ctx)
	}
	if err != nil {
		return r, err
	}
	r.all = time.Since(start).Seconds()
	after, err := p.cpu()
	r.cpu = after - before
	return r, err
}
