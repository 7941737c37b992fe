package mesh

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// world is what the loop sees, and counts what it does. Applying makes each
// part as if nothing differed any more.
type world struct {
	view View

	ovs     ovsdb.State
	ovsErr  error    // of Observe
	refuses error    // of Apply of Open vSwitch, which then changes nothing
	applied []string // "switch", "docker", "kernel", in order

	docker   docker.State
	restart  func(context.Context) error // runs beside the passes
	takes    func()                      // what a restart that succeeds changes
	restarts int
	made     *Loop
	kernel   bridge.State
	echo     error // what comes of one
	nat      filter.State
	natErr   error // of Observe
	natFails error // of Apply
	// readdressed is the kernel after dockerd has become ready, just before it is
	// asked; nil: the kernel stays.
	readdressed *bridge.State
	said        filter.FileState
	forgetful   error         // what was before can't be kept
	woken       chan struct{} // by whoever wakes the loop

	kernelWoken chan struct{} // by the kernel
	kernelSeen  int           // how often it was observed

	hangs        bool // Open vSwitch does not answer
	observed     int  // how often Open vSwitch was
	refreshed    int  // how often it was to be looked at anew
	reconsidered int  // how often it was to work out its flows anew
	reported     TunnelCount
	reports      int // one a pass, but for those that end with the switch
	open         bool
	agreed       map[lease.ID]Pair
	renumbered   int
	readied      int
	log          bytes.Buffer

	mu       sync.Mutex
	history  []journal.Change // what was changed
	events   []journal.Change
	ages     map[string]time.Duration // of processes
	searched int                      // how often they were looked for
}

type fakeHistory struct{ *world }

func (f fakeHistory) Append(all ...journal.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range all {
		if c.Event == "" {
			f.history = append(f.history, c)
		} else {
			f.events = append(f.events, c)
		}
	}
}

type fakeMembership struct{ *world }

func (f fakeMembership) View() View {
	view := f.view
	view.Peers = slices.Clone(view.Peers)
	return view
}
func (f fakeMembership) Changed() <-chan struct{}   { return f.woken }
func (f fakeMembership) Report(c TunnelCount)       { f.reported, f.reports = c, f.reports+1 }
func (f fakeMembership) SetDirectAllowed(open bool) { f.open = open }
func (f fakeMembership) PublishOffers(p map[lease.ID]Pair) {
	f.agreed = p
}
func (f fakeMembership) Renumber(context.Context, netip.Prefix) (netip.Prefix, error) {
	f.renumbered++
	f.view.Lost = false
	return testHost(9).Subnet, nil
}

type fakeSwitch struct{ *world }

func (f fakeSwitch) Observe(ctx context.Context) (ovsdb.State, error) {
	f.observed++
	if f.hangs {
		<-ctx.Done()
		return ovsdb.State{}, ctx.Err()
	}
	return f.ovs, f.ovsErr
}
func (f fakeSwitch) Changed() <-chan struct{} { return nil }
func (f fakeSwitch) Refresh()                 { f.refreshed++ }
func (f fakeSwitch) PurgeFlows(context.Context) error {
	f.reconsidered++
	return nil
}
func (f fakeSwitch) Apply(_ context.Context, changes []ovsdb.Change) error {
	f.applied = append(f.applied, "switch")
	if f.refuses != nil {
		return f.refuses
	}
	if !f.view.Self.Subnet.IsValid() {
		f.ovs.Ports = nil
		return nil
	}
	was := f.ovs.Bridge.MTU
	f.ovs = ovsAsPlanned(f.view)
	f.ovs.Bridge.MTU = cmp.Or(was, 1462)
	for _, c := range changes {
		if mtu, err := strconv.Atoi(c.Should); err == nil && c.Key.Field == "mtu_request" {
			f.ovs.Bridge.MTU = mtu
		}
	}
	return nil
}
func (f fakeSwitch) Traffic(context.Context) (map[string]ovsdb.Traffic, error) { return nil, nil }

type fakeKernel struct{ *world }

func (f fakeKernel) Observe(context.Context) (bridge.State, error) {
	f.kernelSeen++
	return f.kernel, nil
}
func (f fakeKernel) Refresh() {}
func (f fakeKernel) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f fakeKernel) Echo(context.Context, netip.Addr, netip.Addr) error { return f.echo }
func (f fakeKernel) SaveOriginal(context.Context) error                 { return f.forgetful }
func (f fakeKernel) Changed() <-chan struct{}                           { return f.kernelWoken }
func (f fakeKernel) Apply(_ context.Context, changes []bridge.Change) error {
	f.applied = append(f.applied, "kernel")
	for _, c := range changes {
		if c.Object == "link br0 master" && c.Should == "" {
			f.kernel.OVSPort.Master, f.kernel.Routes = "", nil
			return nil
		}
	}
	was := f.kernel
	f.kernel = kernelAsPlanned()
	f.kernel.Bridge.MTU, f.kernel.OVSPort.MTU = cmp.Or(was.Bridge.MTU, 1462), cmp.Or(was.OVSPort.MTU, 1462)
	for _, c := range changes {
		if mtu, err := strconv.Atoi(c.Should); err == nil && c.Key.Field == "mtu" {
			if c.Key.Name == "docker0" {
				f.kernel.Bridge.MTU = mtu
			} else {
				f.kernel.OVSPort.MTU = mtu
			}
		}
	}
	return nil
}

type fakeDocker struct{ *world }

func (f fakeDocker) Observe(context.Context) (docker.State, error) {
	if f.readdressed != nil {
		f.kernel = *f.readdressed
	}
	return f.docker, nil
}

func (f fakeDocker) Apply(_ context.Context, changes []docker.Change) error {
	f.applied = append(f.applied, "docker")
	f.docker.Bip, f.docker.MTU, f.docker.NeedsRestart = "172.17.42.1/24", 1462, f.docker.Running
	for _, c := range changes {
		switch mtu, err := strconv.Atoi(c.Should); {
		case c.Object == "daemon.json bip":
			f.docker.Bip = c.Should
		case c.Object == "daemon.json mtu" && err == nil:
			f.docker.MTU = mtu
		}
	}
	return nil
}
func (f fakeDocker) Changed() <-chan struct{} { return nil }
func (f fakeDocker) Restart(ctx context.Context) error {
	f.betweenPasses(func() { f.restarts++ })
	err := f.restart(ctx)
	if err == nil {
		f.betweenPasses(f.takes)
	}
	return err
}

// betweenPasses changes the world, which happens then only.
func (w *world) betweenPasses(change func()) {
	w.mu.Lock()
	made := w.made
	w.mu.Unlock()
	made.busy.Lock()
	defer made.busy.Unlock()
	change()
}

type fakeNAT struct{ *world }

func (f fakeNAT) Observe(context.Context) (filter.State, error) { return f.nat, f.natErr }
func (f fakeNAT) Changed() <-chan struct{}                      { return nil }
func (f fakeNAT) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}
func (f fakeNAT) Apply(context.Context, []filter.Change) error {
	if f.natFails != nil {
		return f.natFails
	}
	f.applied = append(f.applied, "nat")
	f.nat = natAsPlanned(f.view, f.said)
	if f.made != nil && f.made.seen.plan != nil {
		bip := f.made.seen.plan.desired.Host.Bip
		f.made.here.settled = !f.docker.NeedsRestart && !f.docker.Starting && f.docker.Unsupported == nil && f.docker.Misread == nil || slices.Contains(f.kernel.Addrs, bip)
		f.nat = filter.Listed(f.made.guarded(f.made.seen.plan.desired.NAT))
	}
	return nil
}

type fakeMasquerade struct{ *world }

func (f fakeMasquerade) State() filter.FileState  { return f.said }
func (f fakeMasquerade) Changed() <-chan struct{} { return nil }

// natAsPlanned is a packet filter without Docker's own rules.
func natAsPlanned(view View, said filter.FileState) filter.State {
	cfg := testConfig()
	cfg.NAT = said
	desired, _ := Plan(cfg, view, Keep{testHost(2).ID: true, testHost(3).ID: true})
	if desired == nil {
		return filter.State{}
	}
	return filter.Listed(guarded(desired.NAT, ovsdb.State{}, nil, true))
}

func ovsAsPlanned(view View) ovsdb.State {
	desired, _ := Plan(testConfig(), view, Keep{testHost(2).ID: true, testHost(3).ID: true})
	have := ovsdb.State{Database: "as planned", Bridge: ovsdb.Bridge{
		Name: "br0", Exists: true, Ours: true, Mesh: view.Mesh, FailMode: "standalone", MTU: 1462, OfPort: 65534,
	}}
	for i, t := range desired.Switch.Tunnels {
		have.Ports = append(have.Ports, ovsdb.Port{
			Tunnel: t, Bridge: "br0", Interfaces: []string{t.Name}, Ours: true, Mesh: view.Mesh, Protected: true,
			OfPort: i + 1, BFD: ovsdb.BFDStatus{State: "up"},
		})
	}
	return have
}

func kernelAsPlanned() bridge.State {
	bip := netip.MustParsePrefix("172.17.42.1/24")
	return bridge.State{
		Bridge:  bridge.Link{Name: "docker0", Exists: true, Up: true, MTU: 1462, MAC: bridge.MAC(bip.Addr())},
		OVSPort: bridge.Link{Name: "br0", Exists: true, Up: true, MTU: 1462, Master: "docker0"},
		Flood:   bridge.Flood{Unicast: true, Multicast: true, Broadcast: true},
		Addrs:   []netip.Prefix{bip},
		Routes:  []bridge.Route{{Dst: netip.MustParsePrefix("172.17.0.0/16"), Link: "docker0", Protocol: bridge.RouteProtocol}},
		Sysctls: map[string]string{
			"net/ipv4/ip_forward": "1", "net/ipv4/conf/docker0/forwarding": "1", "net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/docker0/send_redirects": "0",
			"net/ipv4/conf/docker0/arp_notify": "1",
		},
	}
}

func succeeds(context.Context) error { return nil }

// planned is a world in which nothing differs from the plan.
func planned(peers ...Host) *world {
	w := &world{view: testView(peers...), kernel: kernelAsPlanned(), restart: succeeds, takes: func() {}}
	w.ovs = ovsAsPlanned(w.view)
	w.said = testConfig().NAT
	w.nat = natAsPlanned(w.view, w.said)
	w.docker = docker.State{Bip: "172.17.42.1/24", MTU: 1462, Running: true}
	return w
}

func (w *world) loop() *Loop { return w.loopWith(NewMemory()) }

// loopAfter is the one that follows on another when this host has moved.
func (w *world) loopAfter(last *Loop) *Loop { return w.loopWith(last.cfg.Memory) }

func (w *world) loopWith(memory *Memory) *Loop {
	made := NewLoop(LoopConfig{
		Config: testConfig(), Membership: fakeMembership{w}, Switch: fakeSwitch{w}, Kernel: fakeKernel{w}, Docker: fakeDocker{w},
		NAT: fakeNAT{w}, Masquerade: fakeMasquerade{w},
		History: fakeHistory{w}, Ages: func(...string) (map[string]time.Duration, error) { w.searched++; return w.ages, nil },
		Memory: memory,
		Log:    slog.New(slog.NewTextHandler(&w.log, nil)), Ready: func() { w.readied++ },
	})
	made.patience = time.Time{} // in most tests no path is measured
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = made
	return made
}

// pass makes one and waits for the restart of Docker that it may have begun.
func pass(t *testing.T, l *Loop) bool {
	t.Helper()
	ok, _ := l.pass(t.Context())
	afterRestart(t, l)
	return ok
}

func afterRestart(t *testing.T, l *Loop) {
	t.Helper()
	if err := l.cfg.Memory.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func (w *world) says(l *Loop, words string) bool {
	status := l.Status(context.Background())
	return slices.ContainsFunc(status.Problems, func(p Problem) bool { return strings.Contains(p.What, words) }) ||
		slices.ContainsFunc(status.Pending, func(pending string) bool { return strings.Contains(pending, words) })
}

func TestAPassOverAnUnchangedWorldWritesAndLogsNothing(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l := w.loop()
	for range 3 {
		if !pass(t, l) {
			t.Error("a pass failed")
		}
	}
	if len(w.applied) > 0 || w.restarts > 0 || w.log.Len() > 0 {
		t.Errorf("applied %v, %d restarts, log %q", w.applied, w.restarts, w.log.String())
	}
	if w.reported != (TunnelCount{Up: 2, Want: 2}) || w.readied != 1 {
		t.Errorf("reported %+v, ready %d times", w.reported, w.readied)
	}
	if audit := l.Audit(t.Context()); len(audit.Drift) > 0 || len(audit.Problems) > 0 {
		t.Errorf("audit of an unchanged world: %+v", audit)
	}
}

func TestABareHostIsMadeInOnePass(t *testing.T) {
	w := planned(testHost(2))
	w.ovs, w.docker, w.kernel = ovsdb.State{}, docker.State{}, bridge.State{OVSPort: bridge.Link{Name: "br0", Exists: true}}
	l := w.loop()
	if !pass(t, l) || strings.Join(w.applied, " ") != "switch docker kernel" || w.restarts != 0 {
		t.Errorf("applied %v, %d restarts", w.applied, w.restarts)
	}
	w.applied = nil
	if pass(t, l); len(w.applied) > 0 {
		t.Errorf("the second pass applied %v", w.applied)
	}
}

func TestWithoutALeaseNothingIsTouched(t *testing.T) {
	w := planned(testHost(2))
	w.view.Self.Subnet = netip.Prefix{}
	w.kernel, w.docker = bridge.State{}, docker.State{}
	l := w.loop()
	if pass(t, l); len(w.applied) > 0 || w.readied > 0 {
		t.Errorf("applied %v, ready %d times", w.applied, w.readied)
	}
	if audit := l.Audit(t.Context()); len(audit.Problems) == 0 {
		t.Error("the audit should say that it can't tell")
	}
}

func TestWithoutOpenVSwitchTheRestIsKept(t *testing.T) {
	w := planned(testHost(2))
	w.ovsErr = errors.New("no Open vSwitch")
	w.kernel.Routes = nil
	l := w.loop()
	if pass(t, l) || strings.Join(w.applied, " ") != "nat kernel" || !w.says(l, "no Open vSwitch") {
		t.Errorf("applied %v, status %+v", w.applied, l.Status(t.Context()).Problems)
	}
}

func TestASilentPeerKeepsItsTunnelWhileBFDIsUpAndForTheGraceAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := testHost(2)
		peer.Liveness, peer.Since = Failed, time.Now()
		w := planned(peer)
		l := w.loop()
		has := func() bool { pass(t, l); return len(w.ovs.Ports) == 1 && len(w.applied) == 0 }

		time.Sleep(time.Hour)
		if !has() {
			t.Fatal("its port went although BFD was up")
		}
		if w.reported != (TunnelCount{}) {
			t.Errorf("a silent peer's tunnel counts: %+v", w.reported)
		}
		w.ovs.Ports[0].BFD.State = "down"
		if !has() {
			t.Fatal("its port went as soon as BFD was down, an hour after the last pass")
		}
		time.Sleep(9 * time.Minute)
		if !has() {
			t.Fatal("its port went before the grace was over")
		}
		time.Sleep(2 * time.Minute)
		if has() {
			t.Fatal("its port stays after the grace")
		}
	})
}

func TestTheEndOfAGraceWakesTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := testHost(2)
		peer.Liveness, peer.Since = Failed, time.Now()
		w := planned(peer)
		w.ovs.Ports[0].BFD.State = "down"
		ctx, stop := context.WithTimeout(t.Context(), testConfig().PeerGrace+time.Second)
		defer stop()
		time.Sleep(7 * time.Second) // so that no resync is at the end of the grace
		if err := w.loop().Run(ctx); err != nil || len(w.applied) == 0 {
			t.Errorf("%v; applied %v", err, w.applied)
		}
	})
}

func TestAnOpenVSwitchThatHangsKeepsNobodyFromTheirWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.hangs = true
		w.docker, w.kernel.Routes = docker.State{Written: docker.Values{Bip: "172.17.42.1/24"}}, nil
		l := w.loop()
		if pass(t, l) || strings.Join(w.applied, " ") != "docker nat kernel" || !w.says(l, context.DeadlineExceeded.Error()) {
			t.Errorf("applied %v, status %+v", w.applied, l.Status(t.Context()).Problems)
		}
	})
}

func TestAFailureThatMakesEventsIsRepeatedOnceASecondAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.ovsErr, w.woken = errors.New("no Open vSwitch"), make(chan struct{}, 1)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		var waker sync.WaitGroup
		waker.Go(func() {
			for ctx.Err() == nil {
				select {
				case w.woken <- struct{}{}:
				default:
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		l := w.loop()
		if err := l.Run(ctx); err != nil || w.observed > 15 {
			t.Errorf("%d passes in 10 s, %v", w.observed, err)
		}
		waker.Wait()
		logged := func() int { return strings.Count(w.log.String(), `msg=problem problem="no Open vSwitch"`) }
		if logged() != 1 {
			t.Errorf("log:\n%s", w.log.String())
		}
		w.ovsErr = nil
		for range 2 { // the first gives way to an event that has come meanwhile
			pass(t, l)
		}
		w.ovsErr = errors.New("no Open vSwitch")
		for range 2 {
			pass(t, l)
			time.Sleep(time.Second)
		}
		if logged() != 2 {
			t.Errorf("the failure came again. Log:\n%s", w.log.String())
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := planned()
		done := make(chan error, 1)
		go func() { done <- w.loop().Run(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTunnelsComeBeforeDockerWhileTheMeshIsChangingButNotForEver(t *testing.T) {
	w := planned(testHost(2))
	w.docker = docker.State{}
	w.woken = make(chan struct{}, 1)
	l := w.loop()
	for i := range maxRushed {
		w.woken <- struct{}{}
		if _, again := l.pass(t.Context()); time.Until(again) > 0 || len(w.applied) > 0 {
			t.Fatalf("pass %d: next in %s, applied %v", i, time.Until(again), w.applied)
		}
	}
	w.woken <- struct{}{}
	l.pass(t.Context())
	if strings.Join(w.applied, " ") != "docker" || len(w.woken) != 1 {
		t.Errorf("applied %v; %d signals left, want the last one", w.applied, len(w.woken))
	}
}
