package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Feature is a kernel feature that some kernels lack and some tests need.
type Feature struct {
	Name  string
	probe []string // a command that succeeds if the kernel has the feature, and leaves nothing behind
}

// Features that a guest's kernel is known to lack.
var (
	NFTablesIP   = Feature{"nf_tables' family ip", inNamespace("nft", "add", "table", "ip", "probe")}
	NFTablesInet = Feature{"nf_tables' family inet", inNamespace("nft", "add", "table", "inet", "probe")}
)

func inNamespace(argv ...string) []string { return append([]string{"unshare", "--net"}, argv...) }

// Missing returns nil if the running kernel has the feature. Otherwise the
// error has the message of the probe.
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

// Slowness returns the factor by which waits must be longer here. A guest has
// one processor, and programs start slowly there. An emulated processor is the
// slowest.
func Slowness() int {
	switch Bed(os.Getenv(insideEnv)) {
	case UML:
		return 5
	case QEMU:
		return 20
	}
	return 1
}

// MayLack reports whether the running kernel may lack features. This is true
// only in a guest of UML, because Debian's own kernel has all features.
func MayLack() bool { return Bed(os.Getenv(insideEnv)) == UML }
