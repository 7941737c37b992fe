package kernel

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// early names the modules that a guest of QEMU needs before it has its files.
var early = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "virtio_rng"}

// writeInitrd writes an initial RAM disk. It contains self as /init, the early
// modules as /modules/NN in the order of loading, and the mount points.
func writeInitrd(file, modules, self string) error {
	dep, err := os.ReadFile(filepath.Join(modules, "modules.dep"))
	if err != nil {
		return err
	}
	builtin, err := os.ReadFile(filepath.Join(modules, "modules.builtin"))
	if err != nil {
		return err
	}
	order, err := loadOrder(string(dep), string(builtin), early...)
	if err != nil {
		return fmt.Errorf("%s: %w", modules, err)
	}
	to, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	a := &archive{to: to}
	for _, dir := range []string{"dev", "proc", "root", "modules"} {
		a.add(dir, 0o40755, nil)
	}
	a.addFile("init", self)
	for i, module := range order {
		a.addFile(fmt.Sprintf("modules/%02d", i), filepath.Join(modules, module))
	}
	a.add("TRAILER!!!", 0, nil)
	if a.err != nil {
		return a.err
	}
	return to.Close()
}

// loadOrder returns the files of the modules and of all their dependencies,
// each after its own dependencies. modules.dep(5) lists the dependencies of a
// module in the reverse order. A module that is built into the kernel needs no
// file.
func loadOrder(dep, builtin string, names ...string) ([]string, error) {
	files := map[string][]string{}
	for line := range strings.Lines(dep) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		all := append([]string{file}, strings.Fields(needs)...)
		slices.Reverse(all)
		files[moduleName(file)] = all
	}
	for line := range strings.Lines(builtin) {
		files[moduleName(strings.TrimSpace(line))] = []string{}
	}
	var order []string
	for _, name := range names {
		all, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("no module %s", name)
		}
		for _, file := range all {
			if !slices.Contains(order, file) {
				order = append(order, file)
			}
		}
	}
	return order, nil
}

// moduleName returns the kernel's name of a module: virtio_rng for
// kernel/…/virtio-rng.ko.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// archive writes a cpio archive in the format "newc", which the kernel unpacks
// (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). err
// keeps the first error.
type archive struct {
	to    io.Writer
	inode int
	err   error
}

func (a *archive) addFile(name, from string) {
	if a.err != nil {
		return
	}
	var content []byte
	if content, a.err = os.ReadFile(from); a.err == nil {
		a.add(name, 0o100755, content)
	}
}

func (a *archive) add(name string, mode int, content []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	header := "070701"
	for _, n := range []int{a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		header += fmt.Sprintf("%08X", n)
	}
	header += name + "\x00"
	_, a.err = fmt.Fprintf(a.to, "%s%s%s%s", header, padding(len(header)), content, padding(len(content)))
}

// padding returns the NUL bytes that extend n bytes to a multiple of four.
func padding(n int) string { return strings.Repeat("\x00", -n&3) }
