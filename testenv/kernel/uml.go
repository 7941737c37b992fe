package kernel

import (
	"cmp"
	"os"
	"path/filepath"
)

const (
	umlBinary  = "linux.uml"
	umlModules = "/usr/lib/uml/modules"
)

func checkUML() error { return lacking([]string{umlBinary, "modprobe"}, []string{umlModules}) }

// umlMachine returns a user-mode Linux: see `linux.uml --help`. Its consoles 1
// to 3 are the extra files of connect. It is pinned, because it and the process
// that it runs are two processes of this machine, and one always waits for the
// other.
func umlMachine(c Config, dir, self string) machine {
	return machine{
		argv: []string{
			umlBinary, "mem=" + cmp.Or(c.Memory, "2G"),
			"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
			"init=" + self, jobEnv + "=" + filepath.Join(dir, jobFile), // an unknown word becomes an environment variable of init
			"quiet", "panic=1", "uml_dir=" + dir, "umid=vm",
			"con0=null,fd:1", "con1=null,fd:3", "con2=null,fd:4", "con3=null,fd:5", "con=null", "ssl=null",
		},
		env:      []string{"TMPDIR=" + memoryDir()},
		modules:  umlModules,
		consoles: [3]string{"/dev/tty1", "/dev/tty2", "/dev/tty3"},
		share:    share{"hostfs", c.Share},
		pinned:   true,
	}
}

// memoryDir returns the folder for the guest's memory. The memory is a file
// that is created there and unlinked.
func memoryDir() string {
	const fast = "/dev/shm"
	if info, err := os.Stat(fast); err == nil && info.IsDir() {
		return fast
	}
	return os.TempDir()
}
