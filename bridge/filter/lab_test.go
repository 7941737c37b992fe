package filter

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The lab: a container behind docker0 of the host, which is this process's
// namespace; a peer, on the host's underlay and, as if through a tunnel, on
// its docker0; and the outside.
const (
	container     = "172.17.42.2"
	peerContainer = "172.17.43.2"
	peerUnderlay  = "192.168.248.140"
	hostUnderlay  = "192.168.248.139"
	outside       = "203.0.113.2"
	hostOutside   = "203.0.113.1"
)

type lab struct {
	*testing.T
	*Host
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getenv(role) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// filters gives a test the namespace in its first state.
func filters(t *testing.T) *lab {
	t.Helper()
	needsRoot(t)
	l := &lab{t, New(slog.New(slog.DiscardHandler))}
	l.clear()
	t.Cleanup(l.clear)
	return l
}

// clear takes all filters away; what iptables-legacy once made stays, empty.
func (l *lab) clear() {
	l.sh(`nft flush ruleset
		for table in $(cat /proc/self/net/ip_tables_names 2>/dev/null); do
			iptables-legacy -w -t $table -F; iptables-legacy -w -t $table -X
		done
		! grep -sq filter /proc/self/net/ip_tables_names || iptables-legacy -w -P FORWARD ACCEPT`)
}

func namespaceOf(who string) string { return fmt.Sprintf("gmq-%d-%s", os.Getpid(), who) }

// build makes the lab's namespaces, and mirrors in the peer and outside.
func build(t *testing.T) *lab {
	l := filters(t)
	l.forget()
	l.Cleanup(func() {
		l.sh(`for n in $(ip netns list | cut -d ' ' -f 1 | grep '^` + namespaceOf("") + `'); do ip netns del $n; done
			for i in docker0 eth0 eth1 c0 p0; do ip link del $i 2>/dev/null || true; done`)
	})
	l.sh(`ns=` + namespaceOf("") + `
		ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.send_redirects=0
		for n in c p o; do ip netns add $ns$n; ip -n $ns$n link set lo up; done
		ip link add docker0 type bridge; ip link set docker0 up; ip addr add 172.17.42.1/24 dev docker0
		sysctl -qw net.ipv4.conf.docker0.send_redirects=0
		ip link add c0 type veth peer name eth0 netns ${ns}c; ip link set c0 master docker0 up
		ip -n ${ns}c addr add 172.17.42.2/24 dev eth0; ip -n ${ns}c link set eth0 up; ip -n ${ns}c route add default via 172.17.42.1
		ip link add p0 type veth peer name docker0 netns ${ns}p; ip link set p0 master docker0 up
		ip -n ${ns}p addr add 172.17.43.1/24 dev docker0; ip -n ${ns}p addr add 172.17.43.2/32 dev docker0; ip -n ${ns}p link set docker0 up
		ip link add eth0 type veth peer name eth0 netns ${ns}p; ip addr add ` + hostUnderlay + `/24 dev eth0; ip link set eth0 up
		ip -n ${ns}p addr add ` + peerUnderlay + `/24 dev eth0; ip -n ${ns}p link set eth0 up
		ip link add eth1 type veth peer name eth0 netns ${ns}o; ip addr add ` + hostOutside + `/24 dev eth1; ip link set eth1 up
		ip -n ${ns}o addr add ` + outside + `/24 dev eth0; ip -n ${ns}o link set eth0 up
		# Only for when nothing is masqueraded: who outside has a route back?
		ip -n ${ns}o route add 172.17.0.0/16 via ` + hostOutside)
	l.tunnel()
	l.mirror("p")
	l.mirror("o")
	return l
}

// mirror starts one in a namespace.
func (l *lab) mirror(who string) {
	l.Helper()
	cmd := l.in(who, "mirror")
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		l.Fatal(err)
	}
}

// forget empties conntrack's table (IPCTNL_MSG_CT_DELETE): a new connection
// that has the ports of one of an earlier lab, masqueraded there to a device
// that is gone, would lose its first packet.
func (l *lab) forget() {
	l.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		l.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written that matters
	const deleteAll = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2
	request := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+4)
	request = binary.NativeEndian.AppendUint16(request, deleteAll)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 12)...) // sequence, port, nfgenmsg
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		l.Fatal(err)
	}
}

// tunnel routes between the subnets by docker0.
func (l *lab) tunnel() {
	l.sh(`ip route replace 172.17.43.0/24 via 172.17.43.1 dev docker0 onlink
		ip -n ` + namespaceOf("p") + ` route replace 172.17.42.0/24 via 172.17.42.1 dev docker0 onlink`)
}

// direct routes between them by the underlay.
func (l *lab) direct() {
	l.sh(`ip route replace 172.17.43.0/24 via ` + peerUnderlay + `
		ip -n ` + namespaceOf("p") + ` route replace 172.17.42.0/24 via ` + hostUnderlay)
}

func (l *lab) sh(script string) string {
	l.Helper()
	out, err := exec.CommandContext(context.Background(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// in is a process of this test binary with another role, in a namespace.
func (l *lab) in(who, as string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), "nsenter",
		append([]string{"--net=/run/netns/" + namespaceOf(who), "/proc/self/exe"}, args...)...)
	self, err := os.Executable()
	if err != nil {
		l.Fatal(err)
	}
	cmd.Args[2] = self
	cmd.Env = append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0") // it would end a second later
	cmd.Stderr = os.Stderr
	return cmd
}

// sees checks what address a new connection of the container is seen by.
func (l *lab) sees(addr, want string) {
	l.Helper()
	for _, network := range []string{"udp4", "tcp4"} {
		if got := l.askFrom("c", network, "0", addr); got != want {
			l.Errorf("%s sees the container as %q by %s, want %q", addr, got, network, want)
		}
	}
}

func (l *lab) askFrom(who, network, port, addr string) string {
	l.Helper()
	cmd := l.in(who, "ask", network, port, addr)
	cmd.Stderr = nil
	out, err := cmd.Output()
	if err != nil {
		return "nobody"
	}
	return string(out)
}

func (l *lab) diff(want Rules) []Change {
	l.Helper()
	have, err := l.Observe(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return Diff(want, have)
}

// reach applies want and checks that nothing is left to do.
func (l *lab) reach(want Rules) {
	l.Helper()
	if err := l.Apply(l.Context(), l.diff(want)); err != nil {
		l.Fatal(err)
	}
	if again := render(l.diff(want)); again != "" {
		l.Fatalf("a second pass would still change:\n%s", again)
	}
}

// obstacles are those that are left, a line each.
func (l *lab) obstacles(want Rules) string {
	l.Helper()
	have, err := l.Observe(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	var all []string
	for _, o := range Blockers(want, have) {
		all = append(all, o.String()+"; to let it pass: "+o.Fix)
	}
	return strings.Join(all, "\n")
}

// dockersRules are those that a dockerd of 20.10 makes for docker0, in its
// order.
const dockersRules = `
	$ipt -w -P FORWARD DROP
	$ipt -w -N DOCKER; $ipt -w -t nat -N DOCKER; $ipt -w -N DOCKER-USER
	$ipt -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
	$ipt -w -t nat -A POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE
	$ipt -w -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	$ipt -w -A FORWARD -o docker0 -j DOCKER
	$ipt -w -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
	$ipt -w -A FORWARD -i docker0 -o docker0 -j ACCEPT
	$ipt -w -I FORWARD -j DOCKER-USER; $ipt -w -A DOCKER-USER -j RETURN`
