package testenv

import (
	"context"
	"fmt"
	"strings"
)

// bridgeFaults returns the faults of docker0, of its port br0, of routes and of
// sysctls.
func bridgeFaults() []Fault {
	ip := func(words ...string) []string { return append([]string{"ip"}, words...) }
	return []Fault{
		{Name: "br0 out of docker0", Break: commands(ip("link", "set", "br0", "nomaster"))},
		{Name: "br0 down", Break: commands(ip("link", "set", "br0", "down"))},
		{Name: "docker0 down", Break: commands(ip("link", "set", "docker0", "down"))},
		{Name: "aggregate route deleted", Break: commands(ip("route", "del", "172.17.0.0/16"))},
		{Name: "docker0 re-addressed", Break: commands(
			ip("address", "flush", "dev", "docker0"),
			ip("address", "add", "172.17.0.1/16", "dev", "docker0"), // the address that Docker chooses by default
		)},
		{Name: "docker0 deleted", Takes: true, Break: commands(ip("link", "del", "docker0"))},
		{Name: "docker0's MAC changed", Break: commands(ip("link", "set", "docker0", "address", "02:00:00:00:00:77"))},
		{Name: "docker0's MTU changed", Break: commands(ip("link", "set", "docker0", "mtu", "1400"))},
		{Name: "ip_forward off", Break: commands([]string{"sysctl", "-qw", "net.ipv4.ip_forward=0"})},
		{Name: "docker0's forwarding off", Break: commands([]string{"sysctl", "-qw", "net.ipv4.conf.docker0.forwarding=0"})},
		{
			Name: "a route inside the pool", Reported: "out of the mesh",
			Break: hideHalfAPeer,
			End:   commands(ip("route", "flush", "type", "unreachable")),
		},
		{Name: "send_redirects on", Break: commands([]string{"sysctl", "-qw", "net.ipv4.conf.docker0.send_redirects=1"})},
	}
}

// hideHalfAPeer adds a route of another program to the first half of a peer's
// subnet.
func hideHalfAPeer(ctx context.Context, s Strike) error {
	out, err := s.Host.Exec(ctx, "ip", "route", "show", "proto", "77")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if subnet, _, ok := strings.Cut(line, "/24 via "); ok {
			_, err := s.Host.Exec(ctx, "ip", "route", "add", "unreachable", subnet+"/25")
			return err
		}
	}
	return fmt.Errorf("%s has no route to a peer", s.Host.Name)
}
