package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv"
)

// overlay runs flannel with its vxlan backend on all hosts of a lab except the
// last, which runs etcd. The underlay addresses are on the NICs, because the
// kernel terminates the tunnels.
type overlay struct {
	lab    *testenv.Lab
	binary string
	etcd   *exec.Cmd
	agents map[*testenv.Host]*exec.Cmd
	stop   context.CancelFunc

	routes  errgroup.Group
	kept    errgroup.Group // the goroutines that keep flanneld running
	mu      sync.Mutex
	seen    map[*testenv.Host]int // number of routes
	changed chan struct{}         // capacity 1
}

// overlayMissing returns an error that names the missing programs that flannel
// needs, or nil.
func overlayMissing(cfg Config) error {
	var errs []error
	for _, program := range []string{cfg.Flannel, "etcd", "etcdctl"} {
		if _, err := exec.LookPath(program); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// inOverlay creates a lab whose etcd holds flannel's configuration, and calls
// f. flanneld does not run yet.
func inOverlay(ctx context.Context, cfg Config, hosts int, f func(context.Context, *overlay) error) (err error) {
	binary, err := filepath.Abs(cfg.Flannel)
	if err != nil {
		return err
	}
	l, err := testenv.New(ctx, testenv.Config{Hosts: hosts + 1, Datapath: "system"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("not within %s", formTime))
	defer cancel()
	o := &overlay{lab: l, binary: binary, agents: map[*testenv.Host]*exec.Cmd{}, seen: map[*testenv.Host]int{}, changed: make(chan struct{}, 1)}
	ctx, o.stop = context.WithCancel(ctx)
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.startEtcd(ctx); err != nil {
		return err
	}
	for _, h := range o.hosts() {
		o.routes.Go(func() error {
			return h.WatchRoutes(ctx, func(routes map[netip.Prefix]bool) {
				o.mu.Lock()
				o.seen[h] = len(routes)
				o.mu.Unlock()
				select {
				case o.changed <- struct{}{}:
				default:
				}
			})
		})
	}
	return f(ctx, o)
}

func (o *overlay) hosts() []*testenv.Host { return o.lab.Hosts()[:len(o.lab.Hosts())-1] }

func (o *overlay) endpoint() string { return "http://" + last(o.lab).Addr.String() + ":2379" }

// startEtcd starts etcd, and returns when etcd holds flannel's configuration.
func (o *overlay) startEtcd(ctx context.Context) error {
	h := last(o.lab)
	log, err := os.Create(filepath.Join(h.Dir, "etcd.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	o.etcd = h.Command(ctx, "etcd", "--data-dir", filepath.Join(h.Dir, "etcd"),
		"--listen-client-urls", o.endpoint(), "--advertise-client-urls", o.endpoint(), "--listen-peer-urls", "http://127.0.0.1:2380")
	o.etcd.Stdout, o.etcd.Stderr = log, log
	if err := o.etcd.Start(); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	return testenv.Until(ctx, func() error {
		put := h.Command(ctx, "etcdctl", "--endpoints", o.endpoint(), "--dial-timeout", "200ms", "--command-timeout", "1s",
			"put", "/coreos.com/network/config", `{"Network":"172.17.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan"}}`)
		put.Env = append(put.Env, "ETCDCTL_API=3")
		if out, err := put.CombinedOutput(); err != nil {
			return fmt.Errorf("tell etcd flannel's configuration: %w: %s", err, out)
		}
		return nil
	})
}

func subnetFile(h *testenv.Host) string { return filepath.Join(h.Dir, "subnet.env") }

// start starts flanneld on a host. It starts flanneld again at once whenever it
// ends, for example after two hosts have chosen the same subnet at the same
// time.
func (o *overlay) start(ctx context.Context, h *testenv.Host) error {
	cmd, err := o.run(ctx, h)
	if err != nil {
		return err
	}
	o.kept.Go(func() error {
		var err error
		for cmd != nil {
			_ = cmd.Wait() // its log has the reason
			if cmd, err = o.run(ctx, h); ctx.Err() != nil {
				err = nil
			}
		}
		return err
	})
	return nil
}

func (o *overlay) run(ctx context.Context, h *testenv.Host) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(h.Dir, "flanneld.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := h.Command(ctx, o.binary, "--iface", h.UnderlayDevice(), "--etcd-endpoints", o.endpoint(),
		"--subnet-file", subnetFile(h), "--ip-masq=false")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start flanneld on %s: %w", h.Name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.agents[h] = cmd
	return cmd, nil
}

var subnetLine = regexp.MustCompile(`(?m)^FLANNEL_SUBNET=(\S+)$`)

// docker0 creates the host's docker0 as soon as flannel has written its
// address. It returns the address.
func (o *overlay) docker0(ctx context.Context, h *testenv.Host) (netip.Addr, error) {
	for {
		text, err := os.ReadFile(subnetFile(h))
		if found := subnetLine.FindSubmatch(text); err == nil && found != nil {
			bip, err := netip.ParsePrefix(string(found[1]))
			if err != nil {
				return netip.Addr{}, fmt.Errorf("%s: %w", h.Name, err)
			}
			_, err = h.Exec(ctx, "sh", "-ec", "ip link add docker0 type bridge; ip address add "+bip.String()+" dev docker0; ip link set docker0 up")
			return bip.Addr(), err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			log, _ := os.ReadFile(filepath.Join(h.Dir, "flanneld.log"))
			return netip.Addr{}, fmt.Errorf("%s: no subnet: %w: %s", h.Name, err, log[max(0, len(log)-500):])
		}
	}
}

// form starts all flannelds at once. It returns the addresses of all docker0
// devices when all routes exist.
func (o *overlay) form(ctx context.Context) ([]netip.Addr, error) {
	hosts := o.hosts()
	bips := make([]netip.Addr, len(hosts))
	var all errgroup.Group
	for i, h := range hosts {
		all.Go(func() (err error) {
			if err := o.start(ctx, h); err != nil {
				return err
			}
			bips[i], err = o.docker0(ctx, h)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	for want := len(hosts) * (len(hosts) - 1); o.count() < want; {
		select {
		case <-o.changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %d of %d routes", context.Cause(ctx), o.count(), want)
		}
	}
	return bips, nil
}

func (o *overlay) count() (routes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.seen {
		routes += n
	}
	return routes
}

// close ends all processes.
func (o *overlay) close() error {
	o.stop()
	err := o.kept.Wait()
	if o.etcd != nil && o.etcd.Process != nil {
		_ = o.etcd.Wait()
	}
	return errors.Join(err, o.routes.Wait())
}

// formOverlay measures how long flannel takes, as formTunnels does for the
// other ways.
func formOverlay(ctx context.Context, cfg Config, hosts int) (took formation, err error) {
	err = inOverlay(ctx, cfg, hosts, func(ctx context.Context, o *overlay) error {
		pingers, err := pingersOf(ctx, o.hosts())
		if err != nil {
			return err
		}
		start := time.Now()
		bips, err := o.form(ctx)
		if err != nil {
			return err
		}
		took.present = time.Since(start)
		var pings errgroup.Group
		for _, p := range pingers {
			pings.Go(func() error { return p.All(bips) }) // includes its own address
		}
		err = pings.Wait()
		took.pinged = time.Since(start)
		return err
	})
	return took, err
}
