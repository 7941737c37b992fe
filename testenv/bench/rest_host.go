package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/testenv/load"
)

// gossiper returns the gossip address of host i.
func gossiper(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i + 1)}), 7946)
}

// records returns leases that all hosts already hold.
func (r restRole) records() (all []lease.Record) {
	for i := range r.Hosts {
		h := host(i)
		all = append(all, lease.Record{
			Host: h.ID, Version: 1, State: lease.Held, Subnet: h.Subnet, Sequence: uint64(i + 1), Name: h.Name, Underlay: gossiper(i),
		})
	}
	return all
}

var restKeys = [][]byte{bytes.Repeat([]byte{7}, 32)}

var restSettings = gossip.Settings{Pool: config().Space, Tunnel: config().Tunnel}

// meshName returns the ID of the mesh. It is empty if the way is memberlist
// alone.
func (r restRole) meshName() string {
	if r.Way == wayBare {
		return ""
	}
	return lease.ID{2}.String() // as long as the ID of a real mesh
}

// beCrowd acts as all hosts except the first, until the process is killed.
func (r restRole) beCrowd(ctx context.Context) error {
	crowd := load.Crowd{To: host(0).ID, Records: r.records(), Pool: restSettings.Pool, Keys: restKeys, Mesh: r.meshName(), Ready: func() { fmt.Println("ready") }}
	return crowd.Run(ctx)
}

// gossipConfig returns the configuration of the first host, which already holds
// its subnet. It writes the host's state into dir.
func (r restRole) gossipConfig(dir string, log *slog.Logger) (gossip.Config, error) {
	cfg := gossip.Config{
		Name: host(0).Name, Underlay: gossiper(0), Seeds: []string{gossiper(1).String()}, Settings: restSettings, Dir: dir, Log: log, Keys: restKeys,
	}
	state, err := json.Marshal(map[string]any{"host": host(0).ID, "mesh": r.meshName(), "records": r.records()})
	if err != nil {
		return cfg, err
	}
	return cfg, errors.Join(
		os.WriteFile(filepath.Join(dir, "state.json"), state, 0o600),
		os.WriteFile(filepath.Join(dir, "id"), []byte(host(0).ID.String()+"\n"), 0o600))
}

// crowdGroup is the group ID of the crowd's process. It distinguishes the
// crowd's packets from those of the first host.
const crowdGroup = 7946

// startCrowd starts the crowd, and returns when hosts can join it.
func (r restRole) startCrowd() (*exec.Cmd, error) {
	r.Crowd = true
	cmd, err := r.command(context.Background())
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Gid: crowdGroup}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	return cmd, err
}

// beAtRest acts as the first host and measures it.
func (r restRole) beAtRest() (found []measured, err error) {
	o, err := startSwitch()
	if err != nil {
		return nil, err
	}
	defer o.stop()
	if err := o.countGossip(); err != nil {
		return nil, err
	}
	crowd, err := r.startCrowd()
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = crowd.Process.Kill(), crowd.Wait() }()
	a, err := newAgent(o, config())
	if err != nil {
		return nil, err
	}
	cfg, err := r.gossipConfig(o.dir, a.logger)
	if err != nil {
		return nil, err
	}
	if r.Way == wayBare {
		list, err := load.Bare(cfg, host(0).ID)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, list.Shutdown()) }()
		if err := r.calm(o, func() int { return list.NumMembers() - 1 }); err != nil {
			return nil, err
		}
		return r.measure(a)
	}
	node, err := gossip.New(cfg)
	if err != nil {
		return nil, err
	}
	a.start(node, node.Run)
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := r.calm(o, func() int { return living(node.View()) }); err != nil {
		return nil, err
	}
	if _, err := a.settle(time.Time{}); err != nil {
		return nil, err
	}
	return r.measure(a)
}

func living(v mesh.View) (count int) {
	for _, p := range v.Peers {
		if p.Liveness == mesh.Alive {
			count++
		}
	}
	return count
}

// staggered is the maximum time that memberlist waits before its first period.
// From then on, a host starts one exchange of all state in each period.
const staggered = 30 * time.Second

const (
	calmRate = 1500.0          // maximum that a host at rest sends, in bytes per second
	calmFor  = 3 * time.Second // how long it must send no more than that
	calmTime = 8 * time.Minute // time limit until it must be at rest
)

// calm waits until all hosts are members, gossip has sent all its pending
// messages, and the periods of memberlist have started.
func (r restRole) calm(o *openSwitch, alive func() int) error {
	began := time.Now()
	time.Sleep(min(staggered, r.Length))
	for {
		if time.Since(began) > calmTime {
			return fmt.Errorf("after %s it is not at rest: %d of %d hosts are there", calmTime, alive(), r.Hosts-1)
		}
		before, _, err := o.counted()
		if err != nil {
			return err
		}
		time.Sleep(min(calmFor, max(r.Length, time.Second)))
		after, _, err := o.counted()
		if err != nil {
			return err
		}
		if alive() == r.Hosts-1 && after-before < calmRate*calmFor.Seconds() {
			return nil
		}
	}
}

// measure returns the CPU time, the memory and the traffic of the first host
// during r.Length.
func (r restRole) measure(a *agent) ([]measured, error) {
	sentBefore, gotBefore, err := a.o.counted()
	if err != nil {
		return nil, err
	}
	before, commands, vswitchd, err := a.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	time.Sleep(r.Length)
	took := time.Since(began).Seconds()
	after, commandsAfter, vswitchdAfter, err := a.usage()
	if err != nil {
		return nil, err
	}
	sent, got, err := a.o.counted()
	found := []measured{
		{"CPU", "% of a core", 100 * (after.cpu - before.cpu).Seconds() / took},
		{"memory", "MB", after.memory},
		{"gossip sent", "bytes/s", (sent - sentBefore) / took},
		{"gossip received", "bytes/s", (got - gotBefore) / took},
	}
	if r.Way != wayBare {
		found = append(found,
			measured{"CPU of nft and iptables", "% of a core", 100 * (commandsAfter.cpu - commands.cpu).Seconds() / took},
			measured{"CPU of ovs-vswitchd", "% of a core", 100 * (vswitchdAfter.cpu - vswitchd.cpu).Seconds() / took})
	}
	return found, err
}

// countGossip starts to count the traffic that the first host sends and
// receives. The received traffic is what the crowd sends.
func (o *openSwitch) countGossip() error {
	return o.run("nft", fmt.Sprintf("add table ip bench; add chain ip bench traffic { type filter hook output priority 0; };"+
		"add rule ip bench traffic meta l4proto { tcp, udp } meta skgid != %d counter;"+
		"add rule ip bench traffic meta l4proto { tcp, udp } meta skgid %d counter", crowdGroup, crowdGroup))
}

var counter = regexp.MustCompile(`bytes (\d+)`)

// counted returns what the first host has sent and received so far, in bytes
// with IP headers.
func (o *openSwitch) counted() (sent, got float64, err error) {
	out, err := exec.Command("nft", "list", "chain", "ip", "bench", "traffic").Output() //nolint:noctx // a process of its own
	if err != nil {
		return 0, 0, err
	}
	found := counter.FindAllStringSubmatch(string(out), -1)
	if len(found) != 2 {
		return 0, 0, fmt.Errorf("nft lists %q", out)
	}
	sent, _ = strconv.ParseFloat(found[0][1], 64)
	got, _ = strconv.ParseFloat(found[1][1], 64)
	return sent, got, nil
}
