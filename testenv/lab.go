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

// Config describes a lab. Its zero value, with a number of hosts, is a lab
// without Docker on the userspace datapath.
type Config struct {
	Hosts    int            // 1 to 200
	Docker   bool           // give each host a dockerd
	Datapath string         // netdev, or system: OVS in the kernel, the address on the NIC; default $TESTENV_DATAPATH, else netdev
	Subnets  []netip.Prefix // of the underlay, each a /24 or larger, with a router between; hosts are dealt out to them in turn, host i has address i of its own; default 10.90.0.0/24 alone
	Second   netip.Prefix   // where valid, a network of its own that all hosts have a second NIC in, eth1, with address i
	Outside  bool           // a host beyond the router
	MTU      int            // bytes, of all NICs; default 1500
	Pool     netip.Prefix   // default 172.17.0.0/16
	Prefix   int            // bits of a host's subnet, default 24
	Dir      string         // where the lab's folder is made; default os.TempDir(). Keep it short: sockets are in it
	Binary   string         // gremesh; empty: StartAgent builds it, with the race detector
	Log      *slog.Logger   // default: discard
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
	Name string // gm-xxxx; it begins the name of every namespace
	Dir  string // the lab's folder, with one folder per host

	cfg      Config
	hosts    []*Host
	watchdog *watchdog
	build    sync.Once
	buildErr error
}

// New makes a lab whose hosts run Open vSwitch and, where asked for, Docker.
// Agents are not started. The caller owns the lab: it ends with Close or with
// the calling process, whichever is first.
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

// newLab makes the lab's folder and sets the watchdog on it.
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

// labDir makes a folder in parent. Its name is free: two processes cannot
// make the same folder.
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

// Open finds the lab in dir, which another process made and kept. It can be
// worked with, but Close leaves it alone; see Remove.
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

// Host is host i, counted from 1: Host(1) is h1.
func (l *Lab) Host(i int) *Host { return l.hosts[i-1] }

// Datapath is that of the hosts' Open vSwitches: netdev or system.
func (l *Lab) Datapath() string { return l.cfg.Datapath }

// Hosts are all hosts in order.
func (l *Lab) Hosts() []*Host { return l.hosts }

// KeyFile holds the mesh's gossip key, the same for all hosts.
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

// Close removes the lab: its processes and containers, mounts, namespaces and
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

// Keep lets go of the lab: it outlives this process, until Remove.
func (l *Lab) Keep() error {
	if l.watchdog == nil {
		return nil
	}
	err := l.watchdog.release(keepLab)
	l.watchdog = nil
	return err
}
