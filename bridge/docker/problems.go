package docker

import (
	"fmt"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// startDocker is the remedy if no dockerd runs.
const startDocker = "start Docker (systemctl start docker); if it does not start, see why: journalctl -u docker -n 50"

// WithoutSwitch is the code of the problem that daemon.json waits for Open
// vSwitch.
const WithoutSwitch = "GM-DOCKER-NO-OVS"

// withoutSwitch is the problem of a host whose Docker is to join a mesh while
// Open vSwitch does not answer.
func withoutSwitch(want Settings) reconcile.Problem {
	return reconcile.Problem{
		Code:    WithoutSwitch,
		Summary: fmt.Sprintf("Open vSwitch does not answer, so daemon.json does not get the bip %s and Docker is not restarted", want.Bip),
		Remedy:  "systemctl restart openvswitch-switch; if it is not installed: apt install openvswitch-switch",
	}
}

// routing returns the problems of keys that let packets through which arrive
// without a tunnel.
func routing(want Settings, have State) []reconcile.Problem {
	var all []reconcile.Problem
	if want.Direct && have.Obstacle != "" && !have.NeedsRestart && !have.Starting {
		all = append(all, reconcile.Problem{
			Code:    "GM-DOCKER-DIRECT",
			Summary: "peers in this host's underlay subnet are reached by tunnels, because Docker drops packets that come without one: " + have.Obstacle,
			Remedy:  "nothing, if tunnels will do: gremesh does not restart Docker for this alone",
		})
	}
	if t := have.Lost; t != nil {
		all = append(all, reconcile.Problem{Code: "GM-DOCKER-ORIGINAL", Summary: t.What, Remedy: t.Do})
	}
	if AcceptTaken(want, have) {
		all = append(all, reconcile.Problem{
			Code:    "GM-DOCKER-FWMARK",
			Summary: "daemon.json has a bridge-accept-fwmark that is not gremesh's: Docker's nftables backend may drop mesh traffic",
			Remedy:  fmt.Sprintf("set it to %q if nothing else needs yours, and restart Docker", want.Accept),
		})
	}
	return all
}

// stale is the problem of a dockerd that uses another bip than daemon.json has.
func stale(want Settings, have Observation) reconcile.Problem {
	p := reconcile.Problem{
		Code:    "GM-DOCKER-STALE",
		Summary: fmt.Sprintf("dockerd still runs with the settings from before daemon.json was written (bip %s, mtu %d)", want.Bip, want.MTU),
		Remedy:  "restart Docker",
	}
	if have.Network.IsValid() {
		p.Summary += fmt.Sprintf("; its network has %s, and docker0 stays so", have.Network)
	}
	if have.Restart.Err != nil {
		p.Summary += ": " + have.Restart.Err.Error()
	}
	return p
}

// dead returns the problem of a host without a dockerd. There is none if none
// has run since boot, because the agent starts first.
func dead(r Restart) []reconcile.Problem {
	switch {
	case r.Err != nil:
		return []reconcile.Problem{{
			Code: "GM-DOCKER-DOWN", Summary: "dockerd does not run: its restart for the new bip failed: " + r.Err.Error(), Remedy: startDocker,
		}}
	case r.Ran:
		return []reconcile.Problem{{
			Code:    "GM-DOCKER-DOWN",
			Summary: "dockerd does not run: no container can be started or stopped, and what Docker wrote earlier may be out of date",
			Remedy:  startDocker,
		}}
	}
	return nil
}

// olderMTU returns the problem of a dockerd that gives containers an older MTU.
func olderMTU(want Settings, have State) []reconcile.Problem {
	if have.RunningMTU == 0 || have.RunningMTU == want.MTU {
		return nil
	}
	effect := "no packets are lost, only speed"
	if have.RunningMTU > want.MTU {
		effect = "docker0 answers larger packets with 'fragmentation needed'"
	}
	return []reconcile.Problem{{
		Code: "GM-DOCKER-MTU",
		Summary: fmt.Sprintf("docker0's MTU has become %d, and dockerd still gives containers the %d that it was started with: %s",
			want.MTU, have.RunningMTU, effect),
		Remedy: fmt.Sprintf("restart Docker when it suits: containers that are started from then on have MTU %d", want.MTU),
	}}
}
