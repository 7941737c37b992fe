// Package gossip finds the other hosts and replicates the lease table. It is
// the only importer of memberlist.
//
// One goroutine, started by [Node.Run], owns all state: the lease machine, who
// is alive, what is durable. memberlist's callbacks run under its locks, so
// they copy what they are given into the inbox, signal, and return; none calls
// memberlist back. Records travel three ways: with every exchange of state
// between two hosts (push/pull), as gossip when a host's own record changes,
// and in the answers to claims.
//
// Nothing here hands out live pointers: [Node.View] returns sorted copies.
package gossip
