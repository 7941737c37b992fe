package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/process"
)

// startTime is how long a dockerd may run without an answer before that is a
// problem: with many containers it takes long to restore them.
const startTime = time.Minute

// asked is what a dockerd said of itself when it was asked last. It does not
// change as long as the same processes run.
type asked struct {
	of      []process.Process
	version release
	kind    string // see unsupported; empty: an ordinary dockerd
	backend string // of its firewall: "iptables", "nftables" or empty if it does not tell
	network netip.Prefix
	mtu     int  // bytes, of containers on docker0; 0: there is no such network
	keeps   bool // it has live-restore, and containers ran when it was asked last
}

// Observe reads daemon.json and asks the dockerd that runs, if one does. A file
// that is missing or empty sets nothing; a malformed one is a Trouble that names
// the place.
func (d *Daemon) Observe(ctx context.Context) (Actual, error) {
	if err := ctx.Err(); err != nil {
		return Actual{}, err
	}
	running, err := dockerds()
	if err != nil {
		return Actual{}, err
	}
	have := Actual{Running: len(running) > 0}
	if !have.Running {
		have.Unsupported = d.foreign()
	} else if running, err = d.ask(ctx, running); err != nil {
		if err := d.silent(running, err, &have); err != nil {
			return Actual{}, err
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
	// What the file says matters only to uninstall, which takes our keys out.
	if filed, err := d.filed(have); err == nil {
		have = filed
	}
	return have, nil
}

// filed adds what daemon.json says, and what gremesh has written to it.
func (d *Daemon) filed(have Actual) (Actual, error) {
	f, err := d.parsed()
	if err != nil {
		return Actual{}, err
	}
	s, err := d.load()
	if err != nil {
		return Actual{}, err
	}
	if s.Former == nil {
		b, _, err := d.read()
		if err != nil {
			return Actual{}, err
		}
		if s, err = d.known(s, b); err != nil {
			return Actual{}, err
		}
		have.Unrecorded = s.Former != nil
	}
	have.Written, have.Interim, have.Lost = s.Written, s.Interim, d.lostRecord(s)
	if s.Former != nil {
		have.Former = &s.Former.Values
	}
	now := f.settings()
	have.Bip, have.MTU, have.Direct, have.Accept = now.Bip, now.MTU, now.Direct, now.Accept
	return have, nil
}

// compared completes what was observed by what daemon.json says.
func (d *Daemon) compared(ctx context.Context, running []process.Process, have Actual) (Actual, error) {
	have, err := d.filed(have)
	if err != nil {
		return Actual{}, err
	}
	f, err := d.parsed()
	if err != nil {
		return Actual{}, err
	}
	s, err := d.load()
	if err != nil {
		return Actual{}, err
	}
	now := f.settings()
	d.judgeStale(running, s, &have)
	if have.Stale || !have.Running && d.asked.keeps && differs(d.asked.network, now.Bip) {
		if have.Futile, err = d.futile(ctx, running, now); err != nil {
			return Actual{}, err
		}
	}
	if err := d.see(running, s, now); err != nil {
		return Actual{}, err
	}
	d.judgeAccept(ctx, running, f, &have)
	if d.cfg.Direct {
		j, err := d.judge(ctx, running, s.Unread, f)
		switch {
		case err != nil:
			have.Obstacle = err.Error()
		default:
			j.mark, j.unmarked = have.Accept != "", have.AcceptUnread
			have.Obstacle, have.Takes, have.Refuses = j.obstacle(), j.takes(), j.refuses()
		}
	}
	return have, nil
}

// judgeStale tells whether the dockerd that runs uses what daemon.json says.
// Docker's own network decides. The processes that ran when the file was written
// decide if the file has no bip to compare with, and when everything is put back.
func (d *Daemon) judgeStale(running []process.Process, s state, have *Actual) {
	if !have.Running || have.Starting {
		return
	}
	old := slices.ContainsFunc(s.Old, func(p process.Process) bool { return slices.Contains(running, p) })
	if !have.Network.IsValid() || have.Bip == "" {
		have.Stale = old
		for _, b := range s.Behind {
			if slices.Contains(running, b.Process) {
				have.Behind = cmp.Or(b.MTU, defaultMTU)
			}
		}
		return
	}
	have.Stale = differs(have.Network, have.Bip) || s.Back && old
	if !have.Stale && have.MTU != 0 && d.asked.mtu != have.MTU {
		have.Behind = d.asked.mtu
	}
}

// differs reports whether a network's address is another one than the bip that a
// file has.
func differs(network netip.Prefix, bip string) bool {
	is, err := netip.ParsePrefix(bip)
	return network.IsValid() && bip != "" && (err != nil || is != network)
}

// ask asks the daemon at the socket for what it is and for its network, and
// returns the process that answers. That can be told unless systemd listens for
// it; then all processes remain.
func (d *Daemon) ask(ctx context.Context, running []process.Process) ([]process.Process, error) {
	if len(running) > 1 {
		pid, err := d.engine.listener(ctx)
		if err != nil {
			return running, err
		}
		if i := slices.IndexFunc(running, func(p process.Process) bool { return p.PID == pid }); i >= 0 {
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
		is, _ := parseRelease(version.Version) // a version of no number is none: it knows no new key
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

// silent says what it means that a dockerd runs and does not answer.
func (d *Daemon) silent(running []process.Process, cause error, have *Actual) error {
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

// firstLine is the first of several joined errors, which all have one cause.
func firstLine(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the errors that were joined just now
		return joined.Unwrap()[0]
	}
	return err
}
