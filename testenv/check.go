package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Check returns an error that names the prerequisites of a lab that this
// machine lacks: root, Open vSwitch and other programs, and with docker also
// those of Docker.
func Check(docker bool) error {
	if os.Geteuid() != 0 {
		return errors.New("a lab needs root")
	}
	commands := []string{"ip", "nft", "nsenter", "ping", "ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"}
	if docker {
		commands = append(commands, "containerd", "dockerd", "docker", "busybox", "setsid")
	}
	var missing []string
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a lab needs %s: not found in the path (`make deps` installs it)", strings.Join(missing, ", "))
	}
	return nil
}
