// Package kdcfixture gives tests the conversations between stock clients and MIT krb5kdc that
// are recorded in its testdata folder, with every key needed to open them, the realms they
// were recorded in, and hostile requests with the answers MIT gave; and a mutator of DER
// trees for fuzz tests. Only tests import it. All keys in it are published on purpose.
package kdcfixture
