package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Bed names the way in which a guest's kernel runs. The zero value means UML.
type Bed string

// The beds. Neither needs KVM or an image.
const (
	// UML is Debian's user-mode Linux, an ordinary process. Its kernel lacks
	// the families ip and inet of nftables.
	UML Bed = "uml"
	// QEMU emulates a machine that runs Debian's own kernel. It has all
	// features of Debian's kernel, and is several times slower than UML.
	QEMU Bed = "qemu"
)

// Beds lists all beds.
var Beds = []Bed{UML, QEMU}

// machine describes how a bed boots and which devices its guest finds.
type machine struct {
	argv     []string
	env      []string
	modules  string    // a folder with one folder for each kernel release
	consoles [3]string // the guest's devices for standard output, standard error and result
	share    share
	pinned   bool // the guest runs on one processor of this machine
}

// share describes how a guest mounts Config.Share.
type share struct{ Kind, Options string }

// Check returns an error that names the prerequisites of the guest that this
// machine lacks.
func (c Config) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("a guest kernel needs root, to read all of the machine's files")
	}
	switch c.bed() {
	case UML:
		return checkUML()
	case QEMU:
		return checkQEMU(c.Kernel)
	}
	return fmt.Errorf("bed is %q, want one of %q", c.Bed, Beds)
}

func (c Config) bed() Bed { return cmp.Or(c.Bed, UML) }

// machine prepares the bed's files in dir. dir must contain job.json before the
// guest starts.
func (c Config) machine(dir string) (machine, error) {
	self, err := os.Executable()
	if err != nil {
		return machine{}, err
	}
	if c.bed() == QEMU {
		return qemuMachine(c, dir, self)
	}
	return umlMachine(c, dir, self), nil
}

// command returns the process that runs the machine. The process ends with ctx
// and with this process.
func (m machine) command(ctx context.Context) *exec.Cmd {
	vm := exec.CommandContext(ctx, m.argv[0], m.argv[1:]...)
	vm.Env = append(os.Environ(), m.env...)
	vm.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C is for the caller, which ends the guest by its context
		Pdeathsig: syscall.SIGKILL,
	}
	vm.Cancel = func() error { return syscall.Kill(-vm.Process.Pid, syscall.SIGKILL) }
	return vm
}

// lacking returns an error that names the missing commands and files of this
// machine, or nil.
func lacking(commands, files []string) error {
	missing := slices.DeleteFunc(slices.Clone(commands), func(c string) bool {
		_, err := exec.LookPath(c)
		return err == nil
	})
	for _, f := range files {
		if _, err := os.Stat(f); err != nil {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a guest kernel needs %s: not found (`make deps` installs it)", strings.Join(missing, ", "))
	}
	return nil
}
