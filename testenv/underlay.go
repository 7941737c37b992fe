package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// netnsPath is where the namespace of a host, or the underlay's, is mounted.
func netnsPath(lab, name string) string { return filepath.Join(netnsDir, lab+"-"+name) }

// switchName is the name of the namespace that holds the underlay's switch.
const switchName = "underlay"

// cutRules drop what goes from a port to a port whose pair is in the set: a
// cut is silent, to both ends it looks like a packet lost on the way.
const cutRules = `table bridge lab {
	set cut { type ifname . ifname; }
	chain forward {
		type filter hook forward priority 0
		iifname . oifname @cut drop
	}
}`

// makeUnderlay makes the namespaces, the switch, and in each host a NIC with
// the name eth0 whose other end is the switch's port with the host's name.
func (l *Lab) makeUnderlay(ctx context.Context) error {
	spaces := []string{"netns add " + l.Name + "-" + switchName}
	ports := []string{"link add switch type bridge mcast_snooping 0", "link set switch up"}
	for _, h := range l.hosts {
		ns := l.Name + "-" + h.Name
		spaces = append(spaces, "netns add "+ns)
		ports = append(ports,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", h.Name, ns),
			fmt.Sprintf("link set %s master switch up", h.Name))
	}
	if err := l.ip(ctx, "", spaces...); err != nil {
		return err
	}
	if err := l.ip(ctx, switchName, ports...); err != nil {
		return err
	}
	return l.nft(ctx, cutRules)
}

// ip runs commands of ip(8) in a namespace of the lab, or in the root one to
// make namespaces. It holds the watchdog's pipe: a lab whose owner is killed
// is not removed while an orphan of the owner still adds to it.
func (l *Lab) ip(ctx context.Context, ns string, lines ...string) error {
	args := []string{"-batch", "-"}
	if ns != "" {
		args = append([]string{"-n", l.Name + "-" + ns}, args...)
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if l.watchdog != nil {
		cmd.ExtraFiles = []*os.File{l.watchdog.pipe}
	}
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("ip in %s-%s: %w", l.Name, ns, err)
	}
	return nil
}

// nft runs a script of nft(8) in the switch's namespace.
func (l *Lab) nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+netnsPath(l.Name, switchName), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("nft on the underlay's switch: %w", err)
	}
	return nil
}

// Cut loses all that goes from one host to another, that way only, until Heal.
func (l *Lab) Cut(ctx context.Context, from, to *Host) error {
	return l.nft(ctx, fmt.Sprintf("add element bridge lab cut { %q . %q }", from.Name, to.Name))
}

// Partition cuts the underlay into groups, in addition to what is cut already.
// The hosts that are in none form one further group.
func (l *Lab) Partition(ctx context.Context, groups ...[]*Host) error {
	group := func(h *Host) int {
		return slices.IndexFunc(groups, func(g []*Host) bool { return slices.Contains(g, h) })
	}
	var pairs []string
	for _, a := range l.hosts {
		for _, b := range l.hosts {
			if group(a) != group(b) {
				pairs = append(pairs, fmt.Sprintf("%q . %q", a.Name, b.Name))
			}
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return l.nft(ctx, "add element bridge lab cut { "+strings.Join(pairs, ", ")+" }")
}

// Heal ends all cuts and partitions.
func (l *Lab) Heal(ctx context.Context) error {
	return l.nft(ctx, "flush set bridge lab cut")
}

// UnderlayDown pulls the host's cable: its NIC loses the carrier.
func (h *Host) UnderlayDown(ctx context.Context) error {
	return h.lab.ip(ctx, switchName, "link set "+h.Name+" down")
}

// UnderlayUp plugs the cable in again.
func (h *Host) UnderlayUp(ctx context.Context) error {
	return h.lab.ip(ctx, switchName, "link set "+h.Name+" up")
}
