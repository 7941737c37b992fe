package testenv

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Config describes a lab. The zero value plus a number of hosts is a lab
// without Docker on the userspace datapath.
type Config struct {
	Hosts  int  // 1 to 200
	Docker bool // give each host a dockerd
	// Datapath is netdev, or system: OVS in the kernel, with the underlay
	// address on the NIC. The default is $TESTENV_DATAPATH, or netdev if that
	// is empty.
	Datapath string
	// Subnets lists the subnets of the underlay, each a /24 or larger, with a
	// router between them. Hosts are assigned to them in turn, and host i has
	// address i of its subnet. The default is 10.90.0.0/24 alone.
	Subnets []netip.Prefix
	// Second is a separate network, if valid. Each host then has a second NIC
	// in it, eth1, with address i.
	Second  netip.Prefix
	Outside bool         // add a host beyond the router
	MTU     int          // bytes, of all NICs; default 1500
	Pool    netip.Prefix // default 172.17.0.0/16
	Prefix  int          // bits of a host's subnet, default 24
	// Dir is the parent of the lab's folder; default os.TempDir(). Keep it
	// short, because the folder contains sockets.
	Dir    string
	Binary string       // gremesh; empty: StartAgent builds it, with the race detector
	Log    *slog.Logger // default: discard
}

func (c Config) withDefaults() Config {
	c.Datapath = cmp.Or(c.Datapath, os.Getenv("TESTENV_DATAPATH"), "netdev")
	if len(c.Subnets) == 0 {
		c.Subnets = []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24")}
	}
	c.MTU = cmp.Or(c.MTU, 1500)
	if !c.Pool.IsValid() {
		c.Pool = netip.MustParsePrefix("172.17.0.0/16")
	}
	if c.Prefix == 0 {
		c.Prefix = 24
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Lab is a number of hosts on an underlay of their own.
type Lab struct {
	Name string // gm-xxxx; the name of every namespace starts with it
	Dir  string // the lab's folder, with one folder per host

	cfg      Config
	hosts    []*Host
	watchdog *watchdog
	build    sync.Once
	buildErr error
}

// New creates a lab whose hosts run Open vSwitch and, if requested, Docker. It
// does not start agents. The caller owns the lab. The lab ends with Close or
// with the calling process, whichever comes first.
func New(ctx context.Context, cfg Config) (*Lab, error) {
	cfg = cfg.withDefaults()
	if cfg.Hosts < 1 || cfg.Hosts > 200 {
		return nil, fmt.Errorf("make a lab of %d hosts: 1 to 200 are possible", cfg.Hosts)
	}
	if err := Check(cfg.Docker); err != nil {
		return nil, err
	}
	l, err := newLab(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a lab: %w", err)
	}
	if err := l.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make lab %s: %w", l.Name, err), l.Close())
	}
	return l, nil
}

// newLab creates the lab's folder and starts the watchdog.
func newLab(cfg Config) (*Lab, error) {
	dir, err := labDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{Name: filepath.Base(dir), Dir: dir, cfg: cfg}
	if l.watchdog, err = startWatchdog(dir); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	for i := 1; i <= cfg.Hosts; i++ {
		l.hosts = append(l.hosts, newHost(l, i))
	}
	return l, nil
}

// labDir creates a folder with a random name in parent. The name is unique,
// because two processes cannot create the same folder.
func labDir(parent string) (string, error) {
	for {
		dir := filepath.Join(parent, namePrefix+strings.ToLower(rand.Text()[:4]))
		err := os.Mkdir(dir, 0o755)
		if !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
}

func (l *Lab) up(ctx context.Context) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	text := base64.StdEncoding.EncodeToString(key) + "\n"
	if err := os.WriteFile(l.KeyFile(), []byte(text), 0o600); err != nil {
		return err
	}
	if err := l.linkBinary(); err != nil {
		return err
	}
	if err := l.makeUnderlay(ctx); err != nil {
		return err
	}
	if err := l.makeRouter(ctx); err != nil {
		return err
	}
	return l.Each(func(h *Host) error { return h.up(ctx) })
}

// Open opens the lab in dir, which another process created and kept. Close does
// not remove such a lab; see Remove.
func Open(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{Name: filepath.Base(dir), Dir: dir, cfg: Config{}.withDefaults()}
	for {
		h := newHost(l, len(l.hosts)+1)
		if _, err := os.Stat(h.Dir); err != nil {
			break
		}
		l.hosts = append(l.hosts, h)
	}
	if len(l.hosts) == 0 {
		return nil, fmt.Errorf("open lab %s: there is none", dir)
	}
	return l, nil
}

// Host returns host i, counted from 1: Host(1) is h1.
func (l *Lab) Host(i int) *Host { return l.hosts[i-1] }

// Datapath returns the datapath of the hosts' Open vSwitch: netdev or system.
func (l *Lab) Datapath() string { return l.cfg.Datapath }

// Hosts returns all hosts in order.
func (l *Lab) Hosts() []*Host { return l.hosts }

// KeyFile returns the path of the file with the mesh's gossip key. All hosts
// use the same file.
func (l *Lab) KeyFile() string { return filepath.Join(l.Dir, "key") }

// Each calls f for all hosts at once, and joins the errors.
func (l *Lab) Each(f func(*Host) error) error {
	errs := make([]error, len(l.hosts))
	var wg sync.WaitGroup
	for i, h := range l.hosts {
		wg.Go(func() { errs[i] = f(h) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close removes the lab: its processes, containers, mounts, namespaces and
// files. A second call does nothing.
func (l *Lab) Close() error {
	if l.watchdog == nil {
		return nil
	}
	err := l.watchdog.release(removeLab)
	l.watchdog = nil
	for _, h := range l.hosts {
		h.reap()
	}
	return err
}

// Keep releases the lab: it outlives this process and stays until Remove.
func (l *Lab) Keep() error {
	if l.watchdog == nil {
		return nil
	}
	err := l.watchdog.release(keepLab)
	l.watchdog = nil
	return err
}
