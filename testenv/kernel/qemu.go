package kernel

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	qemuBinary = "qemu-system-x86_64"

	// rootTag and shareTag name the folders that the guest mounts by 9P.
	rootTag, shareTag = "root", "share"
	nineP             = "trans=virtio,version=9p2000.L,msize=262144"
)

func checkQEMU(kernel string) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the bed %s runs on amd64 only, and this is %s", QEMU, runtime.GOARCH)
	}
	if err := lacking([]string{qemuBinary, "modprobe"}, nil); err != nil {
		return err
	}
	_, err := release(kernel)
	return err
}

// release returns the newest kernel release in a folder. It compares the names
// as text, so 6.1.0-9 counts as newer than 6.1.0-40. The folder is unpacked
// from Debian's package linux-image. It contains boot/vmlinuz-RELEASE and
// lib/modules/RELEASE.
func release(folder string) (string, error) {
	folder = cmp.Or(folder, "/")
	images, err := filepath.Glob(filepath.Join(folder, "boot", "vmlinuz-*"))
	if err != nil {
		return "", err
	}
	slices.Sort(images)
	for _, image := range slices.Backward(images) {
		_, r, _ := strings.Cut(filepath.Base(image), "-")
		if _, err := os.Stat(filepath.Join(folder, "lib", "modules", r, "modules.dep")); err == nil {
			return r, nil
		}
	}
	return "", fmt.Errorf("%s has no kernel: boot/vmlinuz-RELEASE and lib/modules/RELEASE/modules.dep (.ci/deps-kernel gets one)", folder)
}

// qemuMachine returns an emulated machine. It never uses KVM, because nested
// KVM has aborted and hung. Its root is this machine's files, mounted read-only
// by 9P. The initial RAM disk contains the modules that mount them, and self.
func qemuMachine(c Config, dir, self string) (machine, error) {
	folder := cmp.Or(c.Kernel, "/")
	r, err := release(folder)
	if err != nil {
		return machine{}, err
	}
	if err := static(self); err != nil {
		return machine{}, err
	}
	modules := filepath.Join(folder, "lib", "modules")
	initrd := filepath.Join(dir, "initrd")
	if err := writeInitrd(initrd, filepath.Join(modules, r), self); err != nil {
		return machine{}, fmt.Errorf("write the initial RAM disk: %w", err)
	}
	argv := []string{
		qemuBinary, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", cmp.Or(c.Memory, "2G"),
		"-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", filepath.Join(folder, "boot", "vmlinuz-"+r), "-initrd", initrd,
		// The kernel passes an unknown NAME=VALUE to the first process as an
		// environment variable.
		"-append", strings.Join([]string{
			"console=ttyS0 quiet mitigations=off tsc=reliable panic=-1",
			"rdinit=/init", jobEnv + "=" + filepath.Join(dir, jobFile), initrdEnv + "=" + self,
		}, " "),
		"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
		"-virtfs", ninePFolder("/", rootTag) + ",readonly=on",
	}
	if c.Share != "" {
		argv = append(argv, "-virtfs", ninePFolder(c.Share, shareTag))
	}
	m := machine{modules: modules, share: share{"9p", nineP}}
	for i := range m.consoles {
		argv = append(argv, "-chardev", fmt.Sprintf("file,id=console%d,path=/dev/fd/%d", i, 3+i),
			"-device", fmt.Sprintf("virtconsole,chardev=console%d", i))
		m.consoles[i] = fmt.Sprintf("/dev/hvc%d", i)
	}
	m.argv = argv
	return m, nil
}

func ninePFolder(path, tag string) string {
	return "local,path=" + strings.ReplaceAll(path, ",", ",,") + ",mount_tag=" + tag + ",security_model=none,multidevs=remap"
}

// static returns an error if a program is not static. The initial RAM disk
// cannot start such a program, because it has no C library.
func static(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New(file + " is linked dynamically; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
