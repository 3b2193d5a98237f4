// Package daemontest lays out a host for tests of krep and krepd: a directory with configuration and
// keytab, which the environment names.
package daemontest
