// Package streamtest is for tests: a Kerberos realm in memory that hands out tickets without a
// KDC, and streams authenticated with them.
package streamtest
