package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv/kernel"
)

var (
	bed          = flag.String("bed", string(kernel.UML), "the guest's")
	kernelFolder = flag.String("kernel", "/", "of the bed qemu, see .ci/deps-kernel")
)

// guestScript says which kernel it runs on, and writes to the shared folder and
// beside it.
const guestScript = `uname -r; cat; echo "$GREETING" >&2; pwd
modprobe openvswitch && ovs-dpctl -vconsole:off add-dp probe && ovs-dpctl show probe | head -1
echo kept >"$1/kept"; echo lost >"$1.lost"; cat "$1.lost"
exit 7`

// TestKernelCommand boots once. The command is built anew, as a guest's process
// has not the address space that the race detector wants.
func TestKernelCommand(t *testing.T) {
	if err := (kernel.Config{Bed: kernel.Bed(*bed), Kernel: *kernelFolder}).Check(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, share := filepath.Join(dir, "testenv"), filepath.Join(dir, "share")
	build := exec.Command("go", "build", "-o", self, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	cmd := exec.CommandContext(t.Context(), self, "kernel", "--bed", *bed, "--kernel", *kernelFolder, "--memory", "512M", "--share", share, "--timeout", "2m", "--",
		"sh", "-c", guestScript, "sh", share)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GREETING=hello")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("want exit status 7: %v\n%s%s", err, &stdout, &stderr)
	}
	own, err := exec.Command("uname", "-r").Output()
	if err != nil {
		t.Fatal(err)
	}
	release, rest, _ := strings.Cut(stdout.String(), "\n")
	if release == strings.TrimSpace(string(own)) || rest != dir+"\nsystem@probe:\nlost\n" {
		t.Errorf("standard output:\n%s", &stdout)
	}
	if stderr.String() != "hello\n" {
		t.Errorf("standard error:\n%s", &stderr)
	}
	if kept, err := os.ReadFile(filepath.Join(share, "kept")); string(kept) != "kept\n" {
		t.Errorf("the shared folder: %q, %v", kept, err)
	}
	if _, err := os.Stat(share + ".lost"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is outside of the shared folder is not lost: %v", err)
	}
}
