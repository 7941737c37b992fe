package kernel

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// modulesDep is a part of a modules.dep of Linux 6.1.
const modulesDep = `kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/fscache/fscache.ko kernel/fs/netfs/netfs.ko
kernel/net/9p/9pnet.ko:
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
`

func TestModulesAreLoadedAfterTheirDependencies(t *testing.T) {
	order, err := loadOrder(modulesDep, "kernel/fs/overlayfs/overlay.ko\n", "virtio_rng", "9pnet_virtio", "overlay", "9p")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range order {
		names = append(names, moduleName(file))
	}
	want := []string{"virtio_ring", "virtio", "virtio_rng", "9pnet", "9pnet_virtio", "netfs", "fscache", "9p"}
	if !slices.Equal(names, want) {
		t.Errorf("got %s, want %s", names, want)
	}
	if _, err := loadOrder(modulesDep, "", "overlay"); err == nil || !strings.Contains(err.Error(), "overlay") {
		t.Errorf("a missing module: %v", err)
	}
}

// TestArchivesAreOfNewASCIIFormat checks one against the format's description:
// headers of 110 bytes, and names and contents that begin at multiples of four.
func TestArchivesAreOfNewASCIIFormat(t *testing.T) {
	var out bytes.Buffer
	a := &archive{to: &out}
	a.add("dev", 0o40755, nil)
	a.add("init", 0o100755, []byte("hello"))
	a.add("TRAILER!!!", 0, nil)
	if a.err != nil {
		t.Fatal(a.err)
	}
	header := func(inode, mode, size, name string) string {
		zero := "00000000"
		return "070701" + inode + mode + zero + zero + "00000001" + zero + size + zero + zero + zero + zero + name + zero
	}
	want := header("00000001", "000041ED", "00000000", "00000004") + "dev\x00\x00\x00" +
		header("00000002", "000081ED", "00000005", "00000005") + "init\x00\x00" + "hello\x00\x00\x00" +
		header("00000003", "00000000", "00000000", "0000000B") + "TRAILER!!!\x00\x00\x00\x00"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", &out, want)
	}
}

func TestKernelFoldersAreChecked(t *testing.T) {
	if _, err := release(t.TempDir()); err == nil || !strings.Contains(err.Error(), ".ci/deps-kernel") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := (Config{Bed: "kvm"}).Check(); err == nil {
		t.Error("an unknown bed")
	}
}
