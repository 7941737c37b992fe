// Package testenv makes real hosts on one machine, for the tests, the
// benchmark and the demo.
//
// A Lab is a number of hosts on a private underlay. Each host is a network
// namespace with a NIC, Open vSwitch daemons of its own (userspace datapath
// unless configured otherwise), on request a containerd and a dockerd of its
// own, and one gremesh process. A further namespace holds the underlay's
// switches, Linux bridges, one for each subnet. Where a Config asks for more
// than one subnet or for an outside, a router is in a namespace of its own, and
// so is a host outside. Nothing is made in the root namespace, so labs can run
// side by side with equal addresses.
//
// Everything of a lab can be told from its name alone: its folder, its
// namespaces (NAME-h1, …) and its control group. A watchdog process removes
// all of it as soon as the lab's owner closes it or dies, in whatever way.
//
// The package runs commands (ip, nft, nsenter, ovs-vsctl, docker) instead of
// calling libraries: setns is a matter of a thread, and what a test does
// should be what an operator would type. What listens and sends in a namespace
// is this program too, started again there. It needs root. Methods may be called
// from several goroutines, for one host from one at a time.
package testenv
