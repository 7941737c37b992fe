package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Feature is what some kernels have, and some tests are about.
type Feature struct {
	Name  string
	probe []string // a command that succeeds where the kernel has it, and leaves nothing behind
}

// What a guest's kernel is known to lack.
var (
	NFTablesIP   = Feature{"nf_tables' family ip", inNamespace("nft", "add", "table", "ip", "probe")}
	NFTablesInet = Feature{"nf_tables' family inet", inNamespace("nft", "add", "table", "inet", "probe")}
)

func inNamespace(argv ...string) []string { return append([]string{"unshare", "--net"}, argv...) }

// Missing is nil where the running kernel has the feature, and otherwise what
// the kernel said.
func (f Feature) Missing(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, f.probe[0], f.probe[1:]...).CombinedOutput()
	if err != nil {
		said, _, _ := strings.Cut(string(out), "\n")
		return fmt.Errorf("this kernel has not %s: %s: %w: %s", f.Name, strings.Join(f.probe, " "), err, said)
	}
	return nil
}

// Inside reports whether this process runs in a guest.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Slowness is how many times the time things may take here that are waited for: a
// guest has one processor and programs are slow to start there, most so where that
// processor is emulated.
func Slowness() int {
	switch Bed(os.Getenv(insideEnv)) {
	case UML:
		return 5
	case QEMU:
		return 20
	}
	return 1
}

// MayLack reports whether the running kernel may lack features. In a guest of UML
// it may; Debian's own kernel has them all.
func MayLack() bool { return Bed(os.Getenv(insideEnv)) == UML }
