package testenv

import (
	"context"
	"fmt"
	"strings"
)

// switchFaults returns the faults of gremesh's objects in Open vSwitch.
func switchFaults() []Fault {
	return []Fault{
		{Name: "tunnel port deleted", Break: onTunnel("del-port", "br0", "{}")},
		{Name: "protected switched off", Break: onTunnel("set", "port", "{}", "protected=false")},
		{Name: "remote_ip changed", Break: onTunnel("set", "interface", "{}", "options:remote_ip=10.90.0.250")},
		{Name: "BFD switched off", Break: onTunnel("set", "interface", "{}", "bfd:enable=false")},
		{Name: "our mark taken off a port", Break: onTunnel("remove", "port", "{}", "external_ids", "gremesh-peer")},
		{Name: "VLAN tag on a tunnel", Break: onTunnel("set", "port", "{}", "tag=7")},
		{Name: "spanning tree on", Break: commands(vsctl("set", "bridge", "br0", "stp_enable=true"))},
		{Name: "a controller on br0", Break: commands(vsctl("set-controller", "br0", "tcp:127.0.0.1:1"))},
		{Name: "flows deleted", Break: commands([]string{"ovs-ofctl", "del-flows", "br0"})},
		{Name: "br0 deleted", Takes: true, Break: commands(vsctl("del-br", "br0"))},
		{
			Name:  "a foreign port on br0",
			Break: commands(vsctl("add-port", "br0", "visitor0", "--", "set", "interface", "visitor0", "type=internal")),
			// The port still exists, or another fault has deleted br0 and the
			// port with it.
			End: func(ctx context.Context, s Strike) error {
				_, err := s.Host.Exec(ctx, vsctl("--if-exists", "del-port", "br0", "visitor0")...)
				return err
			},
		},
	}
}

// vsctl returns an ovs-vsctl command that does not wait for ovs-vswitchd,
// because ovs-vswitchd may not run.
func vsctl(words ...string) []string { return append([]string{"ovs-vsctl", "--no-wait"}, words...) }

// onTunnel runs an ovs-vsctl command on one of the host's tunnels. The tunnel's
// name replaces {}.
func onTunnel(words ...string) func(context.Context, Strike) error {
	return func(ctx context.Context, s Strike) error {
		port, err := s.tunnel(ctx)
		if err != nil {
			return err
		}
		line := strings.ReplaceAll(strings.Join(words, " "), "{}", port)
		_, err = s.Host.Exec(ctx, vsctl(strings.Fields(line)...)...)
		return err
	}
}

// tunnel returns the name of one of the host's tunnels. The moment decides
// which one.
func (s Strike) tunnel(ctx context.Context) (string, error) {
	out, err := s.Host.Exec(ctx, "ovs-vsctl", "--bare", "--columns=name", "find", "interface", "options:remote_ip!=0.0.0.0")
	if err != nil {
		return "", err
	}
	names := strings.Fields(out)
	if len(names) == 0 {
		return "", fmt.Errorf("%s has no tunnels", s.Host.Name)
	}
	return names[int(s.Moment.Milliseconds())%len(names)], nil
}
