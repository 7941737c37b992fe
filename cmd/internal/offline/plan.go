package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/preflight"
)

// ErrPeersKnown means that the caller named the peers of a host that is in a
// mesh.
var ErrPeersKnown = errors.New("this host is in a mesh and knows its peers: --assume-peers is for one that does not exist yet")

// Plan plans without an agent. It reads this machine and changes nothing. If
// peersFile is not empty, the peers are those of the file, for a mesh that does
// not exist yet. A wrong file is an exit.Error.
func Plan(ctx context.Context, cfg config.Config, components machine.Constructor, peersFile string) (mesh.Preview, error) {
	cfg = machine.InMesh(cfg)
	var peers []mesh.Host
	var err error
	if peersFile != "" {
		if peers, err = config.ReadPeersFile(peersFile, cfg.Space()); err != nil {
			return mesh.Preview{}, exit.Error{Code: exit.Usage, Err: fmt.Errorf("--assume-peers: %w", err)}
		}
	}
	at, err := machine.FindUnderlay(cfg)
	if err != nil {
		return mesh.Preview{}, err
	}
	found := append(machine.CheckImport(cfg), machine.CheckPool(ctx, cfg, at.Addr)...)
	if err := preflight.Error(found); err != nil && !machine.MayHoldLease(cfg.StateDir) {
		return mesh.Preview{}, err
	}
	silent := slog.New(slog.DiscardHandler)
	p := components(cfg, at, silent)
	view, assumed, err := peek(p.GossipConfig(ctx, cfg, at, silent), peers)
	if err != nil {
		return mesh.Preview{}, err
	}

	ctx, stop := context.WithCancel(ctx)
	var connection sync.WaitGroup
	connection.Go(func() { _ = p.OVS.Run(ctx) }) // the error at its end does not matter
	defer connection.Wait()
	defer stop()
	if len(view.Settings) == 0 && view.Self.Subnet.IsValid() {
		assumed = append(assumed, assumeKey(ctx, &p, cfg.Pins, len(peers) > 0)...)
	}
	preview := mesh.LoopConfig{Config: p.Mesh, Switch: p.OVS, Kernel: p.Kernel, Docker: p.Docker, NAT: p.NAT, Masquerade: p.Masquerade}.Preview(ctx, view, nil)
	preview.Assumed = assumed
	for _, f := range found {
		preview.Problems = append(preview.Problems, mesh.Problem{What: f.What, Do: f.Do})
	}
	return preview, nil
}

// peek returns the view of the mesh without an agent, and the assumptions in it
// as sentences. If the view has no subnet for this host, view.Waiting gives the
// reason.
func peek(cfg gossip.Config, peers []mesh.Host) (view mesh.View, assumed []string, err error) {
	self := slices.IndexFunc(peers, func(h mesh.Host) bool { return h.Underlay == cfg.Underlay.Addr() })
	var said netip.Prefix // this host's own subnet, from the file of peers
	if self >= 0 {
		said = peers[self].Subnet
		peers = slices.Delete(peers, self, self+1)
	}
	view, candidate, err := gossip.OfflineView(cfg, peers...)
	switch {
	case err != nil:
		return view, nil, err
	case view.Self.Subnet.IsValid() && (self >= 0 || len(peers) > 0):
		return view, nil, ErrPeersKnown
	case view.Self.Subnet.IsValid():
		return view, []string{"all hosts that hold a lease are alive, because no agent runs here that would know"}, nil
	case said.IsValid():
		view.Self.Subnet = said
		assumed = append(assumed, fmt.Sprintf("this host gets %s: the file says so", said))
	case !candidate.IsValid():
		return view, nil, nil // view.Waiting gives the reason
	default:
		view.Self.Subnet = candidate
		why := "it is the first that is free; which one it asks for is decided by the ID that it gets at its first start"
		switch {
		case cfg.Fixed == candidate:
			why = "its bip is configured"
		case slices.Contains(cfg.Prefer, candidate):
			why = "it uses it already"
		}
		assumed = append(assumed, fmt.Sprintf("this host gets %s: %s", candidate, why))
	}
	if len(peers) > 0 {
		assumed = append(assumed, "the peers are those of the file")
	}
	if view.Mesh == "" {
		assumed = append(assumed, "the mesh has no ID yet: the agent writes that, and the peers' IDs, into external_ids later")
	}
	return view, assumed, nil
}
