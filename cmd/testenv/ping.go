package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gremesh/gremesh/testenv"
)

// pingAll pings from each container to each other, one ping each, as a user
// would do it, prints the matrix and returns how many were lost.
func (d *demo) pingAll(ctx context.Context, addrs []netip.Addr) int {
	hosts := d.lab.Hosts()
	d.title("docker exec FROM ping -c1 TO, time to the answer in ms")
	fmt.Fprintf(d.out, "  %-18s", "FROM \\ TO")
	for _, h := range hosts {
		fmt.Fprintf(d.out, "%10s", container(h))
	}
	fmt.Fprintln(d.out)
	lost := 0
	for i, from := range hosts {
		fmt.Fprintf(d.out, "  %-3s %-14s", container(from), addrs[i])
		for j := range hosts {
			cell := "-"
			if i != j {
				cell = ping(ctx, from, addrs[j])
			}
			if cell == "lost" {
				lost++
			}
			fmt.Fprintf(d.out, "%10s", cell)
		}
		fmt.Fprintln(d.out)
	}
	return lost
}

// ping is the time to the answer in ms, or lost.
func ping(ctx context.Context, from *testenv.Host, to netip.Addr) string {
	out, err := from.Exec(ctx, "docker", "exec", container(from), "ping", "-c1", "-W2", to.String())
	if err != nil {
		return "lost"
	}
	_, after, _ := strings.Cut(out, " time=")
	ms, _, _ := strings.Cut(after, " ")
	return ms
}
