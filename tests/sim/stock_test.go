//go:build !krealm_sim

package sim

// seeded tells that the runtime is the changed one: this program is only there to build that.
const seeded = false

func simulate(uint64, bool) {}

func simulated() uint64 { return 0 }
