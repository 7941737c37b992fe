// Package ovsdb keeps one Open vSwitch bridge and its tunnels in their desired
// state. It is the only package that imports libovsdb.
//
// It works in the steps observe, diff and apply:
//
//   - [Client.Observe] reads the observed state from a cache that the server keeps
//     up to date. It never answers from a cache that may be stale.
//   - [Diff] is pure. It returns the differences from the desired [Spec], each
//     with the ovs-vsctl command that corrects it. [Conflicts] returns the
//     differences that Diff must not correct. [UnprotectedTunnels]
//     returns the ports of other programs that can cause a broadcast loop.
//   - [Adopt] returns the changes that take over other programs' ports, where
//     those lead to the same peer as a desired tunnel.
//   - [Client.Apply] commits changes in one transaction and waits until
//     ovs-vswitchd has applied it. Then it enables BFD on the new ports. Finally
//     it asks ovs-vswitchd to set what is in no database: the static entries of
//     the bridge's forwarding table, the flow that forwards, and port flags.
//
// Ownership: gremesh owns a bridge or port if its external_ids have the key
// "gremesh", with any value. The package deletes or changes nothing else, with
// these exceptions:
//
//   - the ports that it adds to another program's bridge;
//   - the mtu_request of the own port of such a bridge;
//   - the ports that an operator has adopted;
//   - static entries behind tunnels for MAC addresses that begin with 02:42.
//
// Every tunnel has protected=true (ovs-vswitchd.conf.db(5), Port) from the
// transaction that creates it. Without it, a full mesh of tunnels on one
// learning bridge is a loop.
//
// A Client may be used from any goroutine. Run maintains the connection. The
// other methods work only while Run is running.
package ovsdb
