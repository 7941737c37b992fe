package testenv

import (
	"context"
	"errors"
	"fmt"
)

// serviceFaults returns the faults of the Open vSwitch daemons.
func serviceFaults() []Fault {
	return []Fault{
		{
			Name: "ovs-vswitchd killed", Uses: Switch, Reported: "ovs-vswitchd is not running",
			Break: func(ctx context.Context, s Strike) error { return s.Host.KillVswitchd(ctx) },
			End:   func(ctx context.Context, s Strike) error { return s.Host.StartVswitchd(ctx) },
		},
		{
			Name: "ovsdb-server killed", Uses: Switch,
			Break: func(ctx context.Context, s Strike) error { return s.Host.KillOVSDB(ctx) },
			End:   func(ctx context.Context, s Strike) error { return s.Host.StartOVSDB(ctx) },
		},
		{
			// The end of the fault restores the lab's br-phy, because the
			// underlay does not belong to gremesh.
			Name: "Open vSwitch emptied", Uses: Switch | Underlay, Takes: true,
			Break: func(ctx context.Context, s Strike) error {
				return errors.Join(s.Host.StopOVS(ctx), s.Host.WipeOVS())
			},
			End: func(ctx context.Context, s Strike) error { return s.Host.StartOVS(ctx) },
		},
	}
}

// underlayFaults returns the faults of the hosts' own network.
func underlayFaults() []Fault {
	return []Fault{
		{
			Name: "NIC down", Uses: Underlay,
			Break: func(ctx context.Context, s Strike) error { return s.Host.UnderlayDown(ctx) },
			End:   func(ctx context.Context, s Strike) error { return s.Host.UnderlayUp(ctx) },
		},
		{
			Name: "partition", Uses: Underlay, Whole: true,
			Break: func(ctx context.Context, s Strike) error {
				l := s.Host.lab
				return l.Partition(ctx, []*Host{s.Host, l.hosts[s.Host.index%len(l.hosts)]})
			},
			End: func(ctx context.Context, s Strike) error { return s.Host.lab.Heal(ctx) },
		},
		{
			Name: "underlay address changed", Uses: Underlay | Switch,
			Break: func(ctx context.Context, s Strike) error {
				return s.Host.readdress(ctx, s.Host.movedTo(), s.Host.home())
			},
			End: func(ctx context.Context, s Strike) error {
				return s.Host.readdress(ctx, s.Host.home(), s.Host.movedTo())
			},
		},
	}
}

// home returns the host's underlay address. movedTo returns another address to
// which the host may move.
func (h *Host) home() string {
	return fmt.Sprintf("%s/%d", h.Addr, h.nics()[0].subnet.Bits())
}

func (h *Host) movedTo() string {
	const away = 30 // added to the host's number; labs with such faults have fewer hosts
	return fmt.Sprintf("%s/%d", addrAt(h.nics()[0].subnet, h.index+away), h.nics()[0].subnet.Bits())
}

func (h *Host) readdress(ctx context.Context, to, from string) error {
	dev := h.UnderlayDevice()
	return h.lab.ip(ctx, h.Name, "address del "+from+" dev "+dev, "address add "+to+" dev "+dev)
}
