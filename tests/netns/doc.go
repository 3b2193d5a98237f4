// Package netns replicates between hosts with network stacks of their own: network namespaces, joined by
// pairs of virtual cables (veth) to a switch (bridge), all inside namespaces of the test's own, so that
// nothing is left behind. A cable is pulled behind the switch: the host's link stays up, and what
// it sends vanishes without a word, as it does in a real partition and never on the loopback
// interface.
//
// The tests carry the build tag netns, because they need what not every machine gives: root, or
// user namespaces for everybody. `make netns` runs them, and fails where they cannot run.
package netns
