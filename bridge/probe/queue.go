package probe

import (
	"net/netip"
	"time"
)

// peer is the path to one peer, with its place in the queue.
type peer struct {
	track
	bip   netip.Addr
	due   time.Time // time of the next probe
	sent  time.Time // time of the last probe; includes the wall clock
	place int       // index in the queue
	gone  bool      // no longer a target
}

// queue is a heap of peers (heap.Interface). The peer that is due first is at its
// head.
type queue []*peer

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	p := x.(*peer)
	p.place = len(*q)
	*q = append(*q, p)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
