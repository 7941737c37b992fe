package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/procs"
)

// startTime is how long a dockerd may run without an answer before gremesh
// reports a problem. With many containers, dockerd takes long to restore them.
const startTime = time.Minute

// asked is dockerd's last information about itself. Version, kind and backend
// are asked again only when other processes run.
type asked struct {
	of      []procs.Process
	version release
	kind    string // see unsupported; empty for an ordinary dockerd
	backend string // of the firewall: "iptables" or "nftables"; empty if dockerd does not report it
	network netip.Prefix
	mtu     int  // bytes, of containers on docker0; 0 if there is no such network
	keeps   bool // it has live-restore, and containers ran when it was last asked
}

// Observe reads daemon.json and asks the running dockerd, if there is one. A
// missing or empty file sets no key. For a malformed file, the error is a
// Trouble that names the position.
func (d *Daemon) Observe(ctx context.Context) (State, error) {
	if err := ctx.Err(); err != nil {
		return State{}, err
	}
	running, err := dockerds()
	if err != nil {
		return State{}, err
	}
	have := State{Running: len(running) > 0}
	if !have.Running {
		have.Unsupported = d.foreign()
	} else if running, err = d.ask(ctx, running); err != nil {
		if err := d.silent(running, err, &have); err != nil {
			return State{}, err
		}
	} else {
		have.Network, have.Unsupported = d.asked.network, kindTrouble(d.asked.kind, d.engine.socket)
		d.announce()
	}
	if have.Misread, err = d.misread(running); err != nil {
		return have, err
	}
	if have.Unsupported == nil && have.Misread == nil {
		return d.compared(ctx, running, have)
	}
	// Here only uninstall needs the file's values, because it removes our keys.
	// An unreadable file is therefore no error.
	if filed, err := d.filed(have); err == nil {
		have = filed
	}
	return have, nil
}

// filed adds the keys of daemon.json to have, and the values that gremesh has
// written to it.
func (d *Daemon) filed(have State) (State, error) {
	f, err := d.parsed()
	if err != nil {
		return State{}, err
	}
	s, err := d.load()
	if err != nil {
		return State{}, err
	}
	if s.Former == nil {
		b, _, err := d.read()
		if err != nil {
			return State{}, err
		}
		if s, err = d.known(s, b); err != nil {
			return State{}, err
		}
		have.Unrecorded = s.Former != nil
	}
	have.Written, have.TransitionalBip, have.Lost = s.Written, s.TransitionalBip, d.lostRecord(s)
	if s.Former != nil {
		have.Former = &s.Former.Values
	}
	now := f.settings()
	have.Bip, have.MTU, have.Direct, have.Accept = now.Bip, now.MTU, now.Direct, now.Accept
	return have, nil
}

// compared adds the keys of daemon.json to have, and compares them with the
// running dockerd.
func (d *Daemon) compared(ctx context.Context, running []procs.Process, have State) (State, error) {
	have, err := d.filed(have)
	if err != nil {
		return State{}, err
	}
	f, err := d.parsed()
	if err != nil {
		return State{}, err
	}
	s, err := d.load()
	if err != nil {
		return State{}, err
	}
	now := f.settings()
	d.judgeStale(running, s, &have)
	if have.NeedsRestart || !have.Running && d.asked.keeps && differs(d.asked.network, now.Bip) {
		if have.Futile, err = d.futile(ctx, running, now); err != nil {
			return State{}, err
		}
	}
	if err := d.trackDaemons(running, s, now); err != nil {
		return State{}, err
	}
	d.judgeAccept(ctx, running, f, &have)
	if d.cfg.Direct {
		j, err := d.judge(ctx, running, s.StartedWithoutDirect, f)
		switch {
		case err != nil:
			have.Obstacle = err.Error()
		default:
			j.mark, j.unmarked = have.Accept != "", have.AcceptUnread
			have.Obstacle, have.SupportsDirectKey, have.Refuses = j.obstacle(), j.takes(), j.refuses()
		}
	}
	return have, nil
}

// judgeStale sets NeedsRestart and RunningMTU: it compares the running dockerd with
// daemon.json. Docker's own network decides. If there is no network or no bip
// to compare, the processes that ran when the file was written decide. These
// processes count as well if the original values were put back.
func (d *Daemon) judgeStale(running []procs.Process, s savedState, have *State) {
	if !have.Running || have.Starting {
		return
	}
	old := slices.ContainsFunc(s.Old, func(p procs.Process) bool { return slices.Contains(running, p) })
	if !have.Network.IsValid() || have.Bip == "" {
		have.NeedsRestart = old
		for _, b := range s.Behind {
			if slices.Contains(running, b.Process) {
				have.RunningMTU = cmp.Or(b.MTU, defaultMTU)
			}
		}
		return
	}
	have.NeedsRestart = differs(have.Network, have.Bip) || s.Back && old
	if !have.NeedsRestart && have.MTU != 0 && d.asked.mtu != have.MTU {
		have.RunningMTU = d.asked.mtu
	}
}

// differs reports whether a network's address differs from a file's bip. It
// returns false if the network is unknown or the file has no bip.
func differs(network netip.Prefix, bip string) bool {
	is, err := netip.ParsePrefix(bip)
	return network.IsValid() && bip != "" && (err != nil || is != network)
}

// ask asks the daemon at the socket for its kind and its network, and returns
// the process that answers. If systemd listens for the daemon, that process is
// unknown, and ask returns all of running.
func (d *Daemon) ask(ctx context.Context, running []procs.Process) ([]procs.Process, error) {
	if len(running) > 1 {
		pid, err := d.engine.listener(ctx)
		if err != nil {
			return running, err
		}
		if i := slices.IndexFunc(running, func(p procs.Process) bool { return p.PID == pid }); i >= 0 {
			running = running[i : i+1]
		}
	}
	now := d.asked
	if !slices.Equal(now.of, running) {
		var version versionAnswer
		var info infoAnswer
		err := errors.Join(d.engine.get(ctx, "/version", &version), d.engine.get(ctx, "/info", &info))
		if err != nil {
			return running, firstLine(err)
		}
		// Without a number the version stays zero. Such a dockerd gets no new
		// key.
		is, _ := parseRelease(version.Version)
		now = asked{of: running, version: is, kind: unsupported(version, info), backend: info.FirewallBackend.Driver}
	}
	var network networkAnswer
	switch err := d.engine.get(ctx, "/networks/"+defaultNetwork, &network); {
	case errors.Is(err, errNotFound):
		now.network, now.mtu = netip.Prefix{}, 0
	case err != nil:
		return running, err
	default:
		now.network, now.mtu = network.bip(), network.mtu()
	}
	d.asked = now
	return running, nil
}

// silent sets Starting, because a dockerd runs and does not answer. If no
// dockerd is younger than startTime, it also sets Silent.
func (d *Daemon) silent(running []procs.Process, cause error, have *State) error {
	have.Starting = true
	for _, p := range running {
		age, err := p.Age()
		if err != nil {
			return err
		}
		if age < startTime {
			return nil
		}
	}
	have.Silent = &Trouble{
		What: fmt.Sprintf("dockerd (process %d) does not answer at docker.socket: %s", running[0].PID, cause),
		Do:   "set docker.socket to the address that dockerd listens at (see: docker context inspect); if it is right: systemctl restart docker",
	}
	return nil
}

// firstLine returns the first of several joined errors. All of them have the
// same cause.
func firstLine(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the errors that were joined just now
		return joined.Unwrap()[0]
	}
	return err
}
