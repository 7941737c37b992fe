package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
)

// limitGOMAXPROCS limits the agent to one processor at a time, unless the
// environment sets GOMAXPROCS. The agent does one thing after the other. With
// more processors, the Go runtime wakes another thread for each event to look
// for work, and finds none. This was a quarter of the CPU time of an idle host.
func limitGOMAXPROCS() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// memoryLimit is the soft limit for the memory of the Go runtime, in bytes. It
// is three times the memory that an agent with 1,000 peers uses. The rest is
// for messages that are read before they are authenticated.
const memoryLimit = 160 << 20

// limitMemory makes the Go runtime collect garbage before the agent exceeds
// memoryLimit, unless the environment sets GOMEMLIMIT.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
