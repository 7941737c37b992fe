// Package ovsdb keeps one Open vSwitch bridge and its tunnels as they should
// be. It is the only importer of libovsdb.
//
// The way through it is observe, diff, apply:
//
//   - [Client.Observe] reads what is from a cache that the server keeps up to
//     date. It never answers from a cache that may be stale.
//   - [Diff] is pure and says which rows differ from the [Switch] that should
//     be, each difference with the ovs-vsctl command that mends it. [Conflicts]
//     says what Diff may not mend, and [Loops] which ports of others are a danger.
//   - [Adopt] says what makes ports of others ours that lead where ours should.
//   - [Client.Apply] commits differences in one transaction and waits until
//     ovs-vswitchd has acted on it, and enables BFD on the ports that are new.
//     Then it has ovs-vswitchd itself make the
//     static entries of the bridge's forwarding table, which are in no database.
//
// Ownership: a bridge or port is ours if its external_ids have the key
// "gremesh", whatever the value. Nothing else is ever deleted or changed, but
// for the ports that we add to a bridge of others, the mtu_request of that
// bridge's own port, what an operator has adopted, and static entries for MAC
// addresses that begin with 02:42, behind tunnels.
//
// Every tunnel has protected=true (ovs-vswitchd.conf.db(5), Port), from the
// transaction that makes it: a full mesh of tunnels on one learning bridge is a
// loop without it.
//
// A Client may be used from any goroutine. Run keeps the connection and must
// be running for the other methods to work.
package ovsdb
