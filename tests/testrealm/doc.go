// Package testrealm runs a throw-away Kerberos realm of real processes: a master with slaves,
// each host a directory with its own krb5.conf and kdc.conf, all on loopback.
//
// It starts this project's programs and the stock MIT programs alike, waits for the line that
// says they are ready, keeps what they write, and ends every process it started, with its
// children, when the realm is closed; if the test itself dies, the kernel ends them. Nothing
// here sleeps for a guessed time: what is waited for is a line, an exit or a serial.
//
// It serves tests/interop and tests/demo. A Realm is not safe for concurrent use, except that
// Process, Watch and Client values may be used by one goroutine each at a time.
package testrealm
