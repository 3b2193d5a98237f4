// Package kdctest builds the realms that the exchanges of kdcfixture were recorded in, in
// memory and with a master key that is not needed, for tests of the KDC core.
package kdctest
