// Package testenv creates real hosts on one machine, for tests, benchmarks and
// the demo.
//
// A Lab is a number of hosts on a private underlay. Each host is a network
// namespace with a NIC, its own Open vSwitch daemons and one gremesh process.
// Open vSwitch uses the userspace datapath unless configured otherwise. On
// request, a host also has its own containerd and dockerd. A further namespace
// holds the underlay's switches: one Linux bridge for each subnet. If a Config
// asks for several subnets or for a host outside, a router and the outside host
// have namespaces of their own. Nothing is created in the root namespace.
// Therefore labs with equal addresses can run side by side.
//
// The name of a lab determines all its parts: its folder, its namespaces
// (NAME-h1, …) and its control group. A watchdog process removes all of them as
// soon as the lab's owner closes the lab or dies, for whatever reason.
//
// The package runs commands (ip, nft, nsenter, ovs-vsctl, docker) instead of
// calling libraries. One reason is that setns changes only one thread. The
// other is that a test should do the same as an operator would type. Listeners
// and senders in a namespace are this program too, started again there. The
// package needs root. Methods may be called from several goroutines, but those
// of one Host only from one goroutine at a time.
package testenv
