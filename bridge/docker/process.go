package docker

import (
	"fmt"
	"strings"

	"github.com/gremesh/gremesh/bridge/procs"
)

// dockerds returns the dockerds of the host's root user in our network
// namespace. A dockerd in another namespace has its own docker0.
func dockerds() ([]procs.Process, error) {
	const name = "dockerd"
	found, err := procs.Find(name)
	return found[name], err
}

// conflict returns an error if a dockerd was started with a flag that it does
// not accept together with one of the keys in daemon.json.
func conflict(p procs.Process, keys []key) error {
	args, err := arguments(p)
	if err != nil {
		return err
	}
	for i, arg := range args {
		flag, value, whole := strings.Cut(arg, "=")
		if !whole && i+1 < len(args) {
			value = args[i+1]
		}
		if flag == "--"+gatewayKey {
			if err := misplaced(value, keys); err != nil {
				return fmt.Errorf("dockerd (process %d): %w: remove the flag", p.PID, err)
			}
		}
		for _, k := range keys {
			if k.value != "" && (flag == "--"+k.name || k.name == "bip" && (flag == "--bridge" || flag == "-b")) {
				return fmt.Errorf("dockerd (process %d) was started with %s, and does not start with both that and %s in its configuration file: remove the flag",
					p.PID, flag, k.name)
			}
		}
	}
	return nil
}
