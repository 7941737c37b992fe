package bridge

import (
	"fmt"
	"slices"
	"testing"
)

// container has a container's end in docker0, if that is there, and the container.
func container(name, addr string) string {
	return fmt.Sprintf(`ip netns add gmstray-%[1]s; ip link add veth%[1]s type veth peer name eth0 netns gmstray-%[1]s; ip link set veth%[1]s up
		ip -n gmstray-%[1]s address add %[2]s dev eth0; ip link set veth%[1]s master docker0 2>/dev/null || true
`, name, addr)
}

func TestContainersEndsOfABridgeThatWasDeletedBeforeTheFirstLook(t *testing.T) {
	k := namespace(t)
	t.Cleanup(func() { sh(t, "for n in gmstray-a gmstray-b gmstray-c; do ip netns del $n 2>/dev/null || true; done") })
	attached := func() []string {
		t.Helper()
		have, err := k.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return have.Attached
	}
	sh(t, "tap br0\n"+container("a", "172.17.42.2/24")+container("b", "172.17.42.3/24")+container("c", "10.88.0.2/16")+"ip link add veth9 type veth peer name in9; ip address add 172.17.42.9/24 dev in9")
	reach(t, k, want)
	if got := attached(); !slices.Equal(got, []string{"vetha", "vethb"}) {
		t.Errorf("docker0 was made with the ports %s, want those of containers of its network", got)
	}
	sh(t, "ip link set vetha nomaster")
	if reach(t, k, want); len(attached()) != 1 {
		t.Error("what somebody has taken out is put back")
	}
	k = New(k.cfg)
	if reach(t, k, want); len(attached()) != 1 {
		t.Error("what somebody has taken out is put back by the next agent, though docker0 has others")
	}
	sh(t, "ip link set vethb nomaster") // as of an agent that was killed when it had made docker0
	k = New(k.cfg)
	if reach(t, k, want); len(attached()) != 2 {
		t.Errorf("docker0 has the ports %s", attached())
	}
}
