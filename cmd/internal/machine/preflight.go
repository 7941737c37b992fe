package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/preflight"
	"github.com/gremesh/gremesh/ovsdb"
)

// Preflight runs the preflight and reports all findings at once. A host that
// never held a lease does not start if a finding is not tolerable. A host that
// holds a lease always starts: its containers already use the pool, and a check
// must not remove it from the mesh. `gremesh status` reports its missing
// prerequisites.
//
// If something must be installed, systemd does not restart the agent. If only
// the pool has conflicts, systemd does restart it, because routes come and go.
func Preflight(ctx context.Context, cfg config.Config, at netip.Addr, log *slog.Logger) error {
	lacking, pool := preflight.Run(ctx, hostChecks(cfg)...), CheckPool(ctx, cfg, at)
	found := slices.Concat(lacking, pool)
	for _, f := range found {
		log.Warn("preflight: "+f.What, "do", f.Do)
	}
	if MayHoldLease(cfg.StateDir) {
		return nil
	}
	err := preflight.Error(found)
	if preflight.Error(lacking) != nil {
		err = exit.Error{Code: exit.Usage, Err: err}
	}
	return err
}

// MayHoldLease reports whether the state has a lease. It also returns true if
// the state is damaged; gossip reports the damage.
func MayHoldLease(stateDir string) bool {
	subnet, err := gossip.Reserved(stateDir)
	return subnet.IsValid() || err != nil
}

// hostChecks returns the checks of the prerequisites of this host. CheckPool
// checks the pool separately.
func hostChecks(cfg config.Config) []preflight.Check {
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
		func(context.Context) []preflight.Finding { return CheckImport(cfg) },
	}
}

func isInstalled(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// judgeSwitch turns the result of ovsdb.Check into findings. If Open vSwitch is
// installed but does not answer, the finding is tolerable, because at boot Open
// vSwitch may start after the agent.
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

// judgeRestart checks that the command of docker.restart exists. Only a restart
// of Docker shows whether the command works.
func judgeRestart(command config.Restart, installed func(program string) bool) []preflight.Finding {
	if len(command) == 0 || installed(command[0]) {
		return nil
	}
	return []preflight.Finding{{
		What: fmt.Sprintf("docker.restart: the command %s is not found", command[0]),
		Do:   "set docker.restart to the command that restarts Docker here, or to never",
	}}
}

// CheckImport checks that the file that lease_import names exists. It does so
// only while this host has no lease, because the key has no effect afterwards.
func CheckImport(cfg config.Config) []preflight.Finding {
	if cfg.Import == "" || cfg.Imported.IsValid() || MayHoldLease(cfg.StateDir) {
		return nil
	}
	return []preflight.Finding{{
		What:      fmt.Sprintf("lease_import: %s does not exist, so this host does not ask for the subnet that it had with flannel", cfg.Import),
		Do:        "restore the file and restart the agent before status says `lease held`, or remove lease_import",
		Tolerable: true,
	}}
}

// judgeDocker checks that Docker is installed. Docker need not run.
func judgeDocker(present bool, err error) []preflight.Finding {
	if trouble, is := errors.AsType[*docker.Trouble](err); is {
		return []preflight.Finding{{What: trouble.What, Do: trouble.Do}}
	}
	if !present && err == nil {
		return []preflight.Finding{{What: "Docker is not installed", Do: "apt install docker.io"}}
	}
	return nil
}
