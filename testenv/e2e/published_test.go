package e2e

import (
	"net/netip"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// publishedByAnotherNetwork has a container behind a published port of a network
// of the operator's own, as a compose file makes one. Docker before 28 drops what
// leaves such a network for Docker's bridge, answers to other hosts too.
func publishedByAnotherNetwork(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	run(t, h2, "docker", "network", "create", "proj")
	run(t, h2, "docker", "run", "-d", "--name", "web", "--network", "proj", "-p", "8081:80", "--stop-signal", "KILL", testenv.Image)
	defer run(t, h2, "sh", "-c", "docker rm -f web; docker network rm proj")
	run(t, h2, "docker", "exec", "web", "sh", "-c", "echo published >/tmp/file && httpd -h /tmp")
	get := func(from testenv.End, addr netip.Addr) error {
		return from.Command(ctx, "timeout", "10", "busybox", "wget", "-q", "-O", "/dev/null", "http://"+netip.AddrPortFrom(addr, 8081).String()+"/file").Run()
	}
	testenv.Eventually(t, soon, func() error { return get(h1.End(), h2.Addr) })
	for _, h := range []*testenv.Host{h1, l.Host(3)} {
		if err := get(container(t, h, "c1"), h2.Addr); err != nil {
			t.Errorf("a container of %s does not reach the port: %v", h.Name, err)
		}
	}
	audited(t, h2, 0)
}

// metadata is where clouds have their metadata service and resolver.
var metadata = netip.MustParseAddr("169.254.169.254")

// linkLocal is left to Docker unless a file says otherwise: what answers there
// knows hosts, and no containers.
func (f masqFile) linkLocal(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	c1, outside := container(t, h1, "c1"), l.Outside()
	must(t, l.RouteOutside(t.Context(), metadata))
	seenAs(t, c1, outside.At(metadata), h1.Addr)
	f.write(t, l, "resyncInterval: 60s\n")
	seenAs(t, c1, outside.At(metadata), h1.Addr)
	f.write(t, l, "masqLinkLocal: false\n", "169.254.0.0/16")
}
