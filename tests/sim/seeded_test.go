//go:build krealm_sim

package sim

import _ "unsafe" // for the name below

// seeded tells that the runtime is the changed one.
const seeded = true

// simulate makes the runtime toss its coins from a seed, or, with on false, as it likes.
//
//go:linkname simulate runtime.simulate
func simulate(seed uint64, on bool)

// simulated tells where the coins of the scheduler are: the same in two runs that are the same.
//
//go:linkname simulated runtime.simulated
func simulated() uint64
