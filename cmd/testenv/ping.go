package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gremesh/gremesh/testenv"
)

// pingAll pings once from each container to each other container, with docker
// exec as a user would do it. It prints the matrix and returns the number of
// lost pings.
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

// ping returns the time to the answer in ms, or "lost".
func ping(ctx context.Context, from *testenv.Host, to netip.Addr) string {
	out, err := from.Exec(ctx, "docker", "exec", container(from), "ping", "-c1", "-W2", to.String())
	if err != nil {
		return "lost"
	}
	_, after, _ := strings.Cut(out, " time=")
	ms, _, _ := strings.Cut(after, " ")
	return ms
}
