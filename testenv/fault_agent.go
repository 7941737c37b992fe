package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// agentFaults returns the faults of the agent's process, and of the disk with
// its state.
func agentFaults() []Fault {
	restart := func(ctx context.Context, s Strike) error { return s.Host.StartAgent(ctx) }
	return []Fault{
		{
			Name: "agent killed", Uses: Agent,
			Break: func(ctx context.Context, s Strike) error { return s.Host.KillAgent(ctx) },
			End:   restart,
		},
		{
			Name: "agent killed while it repairs", Uses: Agent, Takes: true,
			Break: func(ctx context.Context, s Strike) error {
				_, err := s.Host.Exec(ctx, vsctl("--if-exists", "del-br", "br0")...)
				<-time.After(s.Moment) // the kill interrupts the repair at a random point
				return errors.Join(err, s.Host.KillAgent(ctx))
			},
			End: restart,
		},
		{
			Name: "agent stopped for a while", Uses: Agent,
			Break: func(_ context.Context, s Strike) error { return s.Host.signalAgent(syscall.SIGSTOP) },
			End:   func(_ context.Context, s Strike) error { return s.Host.signalAgent(syscall.SIGCONT) },
		},
		{
			Name: "all agents restarted", Uses: Agent, Whole: true,
			Break: func(ctx context.Context, s Strike) error {
				return s.inAnyOrder(func(h *Host) error { return h.StopAgent(ctx, syscall.SIGTERM) })
			},
			End: func(ctx context.Context, s Strike) error {
				return s.inAnyOrder(func(h *Host) error { return h.StartAgent(ctx) })
			},
		},
		{
			Name: "disk full, agent killed", Uses: Agent,
			Break: func(ctx context.Context, s Strike) error {
				return errors.Join(s.Host.KillAgent(ctx), s.Host.fillDisk(), s.Host.StartAgent(ctx))
			},
			End: func(ctx context.Context, s Strike) error {
				return errors.Join(s.Host.freeDisk(), s.Host.restartAgent(ctx))
			},
		},
	}
}

// inAnyOrder calls f for all hosts in an order that the strike determines.
func (s Strike) inAnyOrder(f func(*Host) error) error {
	hosts := s.Host.lab.hosts
	var errs []error
	for _, i := range rand.New(rand.NewPCG(uint64(s.Moment), 0)).Perm(len(hosts)) {
		errs = append(errs, f(hosts[i]))
	}
	return errors.Join(errs...)
}

// restartAgent starts an agent again if it has ended, as a service manager
// does.
func (h *Host) restartAgent(ctx context.Context) error {
	select {
	case <-h.agent.ended:
		h.agent = nil
		return h.StartAgent(ctx)
	default:
		return nil
	}
}

func (h *Host) signalAgent(sig syscall.Signal) error {
	if h.agent == nil {
		return fmt.Errorf("%s to the agent of %s: it does not run", sig, h.Name)
	}
	return h.agent.process.Signal(sig)
}
