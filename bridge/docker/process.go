package docker

import (
	"fmt"
	"os"
	"strings"

	"github.com/gremesh/gremesh/bridge/process"
)

// dockerds are the processes named dockerd in our network namespace: one in
// another namespace has a docker0 of its own.
func dockerds() ([]process.Process, error) {
	const name = "dockerd"
	found, err := process.Find(name)
	return found[name], err
}

// conflict is an error when a dockerd was started with a flag that it does not
// start with beside one of the keys in daemon.json.
func conflict(p process.Process, keys []key) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil && !process.Gone(err) {
		return fmt.Errorf("command line of dockerd: %w", err)
	}
	args := strings.Split(string(b), "\x00")
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
			if flag == "--"+k.name || k.name == "bip" && (flag == "--bridge" || flag == "-b") {
				return fmt.Errorf("dockerd (process %d) was started with %s, and does not start with both that and %s in its configuration file: remove the flag",
					p.PID, flag, k.name)
			}
		}
	}
	return nil
}
