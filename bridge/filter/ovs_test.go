package filter

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOpenVSwitchInTheKernelReceivesFromPeersOnly has an Open vSwitch of its own,
// with tunnels of each type to the peer and to a host that is no longer in the
// mesh. It looks at what reaches docker0 by them.
func TestOpenVSwitchInTheKernelReceivesFromPeersOnly(t *testing.T) {
	if os.Getenv("TESTENV_DATAPATH") != "system" {
		t.Skip("is about the kernel's datapath: make test-guard")
	}
	const (
		gone     = "192.168.248.77"
		peerMAC  = "02:42:ac:11:2b:01"
		peer     = "the peer"
		wasAPeer = "a host that is not in the mesh"
	)
	l := build(t)
	l.sh(`ip link del p0; ip link set docker0 address 02:42:ac:11:2a:01
		ip -n ` + namespaceOf("o") + " route add " + hostUnderlay + " via " + hostOutside)
	l.meet(hostUnderlay)
	l.openVSwitch(map[string]string{"peer": peerUnderlay, "gone": gone})
	own, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Fatal(err)
	}
	mac, err := net.ParseMAC(peerMAC)
	if err != nil {
		t.Fatal(err)
	}
	const bip, port = "172.17.42.1", 7788
	r := receive(t, fmt.Sprintf("udp4 %s:%d", bip, port))
	content := func(text string) []byte {
		frame := slices.Concat(own.HardwareAddr, mac, []byte{8, 0})
		return append(frame, ipv4Packet(17, peerContainer, bip, udpDatagram(port, []byte(marked+text)))...)
	}
	ways := []struct {
		name, where, from string
		passes            bool // with the rules; without, all do
	}{
		{peer, "p", peerUnderlay, true},
		{wasAPeer, "p", gone, false},
		{"the peer's address on another device", "o", peerUnderlay, false},
		{"the peer's address in a container", "c", peerUnderlay, false},
	}
	guarded := guardedRules()
	guarded.Guard.Tunnels = kinds
	for _, rules := range []Rules{{}, guarded, {}} {
		l.reach(rules)
		for _, kind := range kinds {
			with := rules.Guard.Port != ""
			text := func(way string) string { return fmt.Sprintf("%s by %s, with rules: %v", way, kind, with) }
			r.forget()
			packets := map[string][]string{}
			for _, w := range ways {
				packets[w.where] = append(packets[w.where], tunnelPacket(kind, w.from, hostUnderlay, content(text(w.name))))
			}
			l.send(packets)
			l.last(r, text("the last"), tunnelPacket(kind, peerUnderlay, hostUnderlay, content(text("the last"))))
			for _, w := range ways {
				if got, want := r.has(text(w.name)), w.passes || !with; got != want {
					t.Errorf("%s reaches docker0: %v, want %v", text(w.name), got, want)
				}
			}
		}
	}
}

// openVSwitch starts one in this namespace, whose br0 is in docker0 and has tunnel
// ports of each type to addresses.
func (l *lab) openVSwitch(to map[string]string) {
	l.Helper()
	dir, err := os.MkdirTemp("", "gmq")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, env := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"} {
		l.Setenv(env, dir)
	}
	l.sh("cd " + dir + `
		ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema 2>&1
		ovsdb-server conf.db --remote=punix:$PWD/db.sock --detach --pidfile --no-chdir --log-file -vconsole:off
		ovs-vsctl --no-wait init
		ovs-vswitchd unix:$PWD/db.sock --detach --pidfile --no-chdir --log-file -vconsole:off`)
	l.Cleanup(func() {
		l.sh("ovs-vsctl --timeout=20 del-br br0")
		for _, daemon := range []string{"ovs-vswitchd", "ovsdb-server"} {
			l.end(filepath.Join(dir, daemon+".pid"))
		}
	})
	script := "ovs-vsctl --timeout=60 add-br br0 -- set bridge br0 datapath_type=system"
	var ports []string
	for name, addr := range to {
		for _, kind := range kinds {
			port := kind + "-" + name
			ports = append(ports, port)
			script += fmt.Sprintf(" -- add-port br0 %[1]s -- set interface %[1]s type=%s options:remote_ip=%s options:local_ip=%s options:key=%d"+
				" -- set port %[1]s protected=true", port, kind, addr, hostUnderlay, tunnelKey)
		}
	}
	l.sh(script + "; ip link set br0 master docker0 up")
	for _, port := range ports {
		if failed := strings.TrimSpace(l.sh("ovs-vsctl get interface " + port + " error")); failed != "[]" {
			l.Fatalf("port %s: %s", port, failed)
		}
	}
}

// end stops a daemon by its pidfile and waits until it has gone.
func (l *lab) end(pidfile string) {
	l.Helper()
	text, err := os.ReadFile(pidfile)
	if err != nil {
		l.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		l.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%s: process %d is still there", pidfile, pid)
		}
	}
}

// forget forgets what was received.
func (r *receiver) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.seen)
}
