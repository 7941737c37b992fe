// Package gossip finds the other hosts and replicates the lease table. It is
// the only package that imports memberlist.
//
// One goroutine, which [Node.Run] starts, owns all state. The state includes
// the lease machine, the set of live hosts, and the data on disk. memberlist
// calls the callbacks while it holds its locks. So a callback copies its
// arguments into the inbox, signals, and returns. No callback calls memberlist.
//
// Records travel in three ways. Two hosts exchange their whole state
// (push/pull). A host gossips its own record when the record changes. A holder
// sends its table with its answer to a claim.
//
// This package returns no pointers to live state: [Node.View] returns sorted
// copies.
package gossip
