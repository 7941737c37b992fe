package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/preflight"
	"github.com/gremesh/gremesh/ovsdb"
)

// checkHost runs the preflight and reports all that it found at once. A host that
// never held a lease does not start with a finding that is not tolerable. A host
// that holds one starts in any case: its containers already use the pool, and it
// must not drop out of the mesh because of a check. status reports what it lacks.
//
// systemd does not start the agent again if something must be installed. It does
// if only the pool is not free, because routes come and go.
func checkHost(ctx context.Context, cfg Config, at netip.Addr, log *slog.Logger) error {
	lacking, pool := preflight.Run(ctx, hostChecks(cfg)...), checkPool(ctx, cfg, at)
	found := slices.Concat(lacking, pool)
	for _, f := range found {
		log.Warn("preflight: "+f.What, "do", f.Do)
	}
	if mayHoldLease(cfg.StateDir) {
		return nil
	}
	err := preflight.Error(found)
	if preflight.Error(lacking) != nil {
		err = exitErr{exitUsage, err}
	}
	return err
}

// mayHoldLease reports whether the state has a lease, or is damaged, which gossip
// reports.
func mayHoldLease(stateDir string) bool {
	subnet, err := gossip.Reserved(stateDir)
	return subnet.IsValid() || err != nil
}

// hostChecks are the checks of what must be there before gremesh changes a
// host. The pool has a check of its own, checkPool.
func hostChecks(cfg Config) []preflight.Check {
	return []preflight.Check{
		func(ctx context.Context) []preflight.Finding {
			return judgeSwitch(ovsdb.Check(ctx, cfg.OVS.DB, cfg.OVS.Bridge, cfg.OVS.Datapath), isInstalled("ovs-vswitchd"))
		},
		func(context.Context) []preflight.Finding { return judgeNFT(isInstalled("nft")) },
		func(ctx context.Context) []preflight.Finding {
			present, err := docker.Present(ctx, cfg.Docker.Socket)
			return judgeDocker(present, err)
		},
		func(context.Context) []preflight.Finding { return judgeRestart(cfg.Docker.Restart, isInstalled) },
		func(context.Context) []preflight.Finding { return checkImport(cfg) },
	}
}

func isInstalled(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// judgeSwitch turns the outcome of ovsdb.Check into a finding. An Open vSwitch
// that is installed may still start: at boot it may come after the agent.
func judgeSwitch(err error, installed bool) []preflight.Finding {
	if err == nil {
		return nil
	}
	if lacking, is := errors.AsType[*ovsdb.NoDatapathError](err); is {
		f := preflight.Finding{What: lacking.Error(), Do: "see ovs-vsctl get Open_vSwitch . datapath_types"}
		if lacking.Type == "system" {
			f.Do = "modprobe openvswitch && " + ovsdb.RestartCommand + "; without that kernel module set ovs.datapath: netdev"
		}
		return []preflight.Finding{f}
	}
	if !installed {
		return []preflight.Finding{{What: "Open vSwitch is not installed", Do: "apt install openvswitch-switch"}}
	}
	return []preflight.Finding{{What: fmt.Sprintf("Open vSwitch does not answer (%s)", err), Do: ovsdb.RestartCommand, Tolerable: true}}
}

func judgeNFT(installed bool) []preflight.Finding {
	if installed {
		return nil
	}
	return []preflight.Finding{{What: "nft is not installed", Do: "apt install nftables"}}
}

// judgeRestart asks that the command of docker.restart exists; that it works is
// known only once Docker must be restarted.
func judgeRestart(command Restart, installed func(program string) bool) []preflight.Finding {
	if len(command) == 0 || installed(command[0]) {
		return nil
	}
	return []preflight.Finding{{
		What: fmt.Sprintf("docker.restart: the command %s is not found", command[0]),
		Do:   "set docker.restart to the command that restarts Docker here, or to never",
	}}
}

// checkImport asks that lease_import names a file that exists, as long as this host
// has no lease. After that the key has no effect.
func checkImport(cfg Config) []preflight.Finding {
	if cfg.Import == "" || cfg.Imported.IsValid() || mayHoldLease(cfg.StateDir) {
		return nil
	}
	return []preflight.Finding{{
		What:      fmt.Sprintf("lease_import: %s does not exist, so this host does not ask for the subnet that it had with flannel", cfg.Import),
		Do:        "restore the file and restart the agent before status says `lease held`, or remove lease_import",
		Tolerable: true,
	}}
}

// judgeDocker asks that Docker is installed; it need not run.
func judgeDocker(present bool, err error) []preflight.Finding {
	if trouble, is := errors.AsType[*docker.Trouble](err); is {
		return []preflight.Finding{{What: trouble.What, Do: trouble.Do}}
	}
	if !present && err == nil {
		return []preflight.Finding{{What: "Docker is not installed", Do: "apt install docker.io"}}
	}
	return nil
}
