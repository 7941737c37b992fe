package lease

// vote is a host's answer to a claim or to a removal.
type vote uint8

const (
	silent vote = iota // no answer yet
	bound              // agrees, but holds no lease: the promise binds it, but has no weight
	weighs             // agrees, and holds a lease
	lost               // agrees, but has lost earlier promises: it counts as silent
)

// voteFor returns the vote of a host that granted a claim with answer a.
func voteFor(a Answer) vote {
	switch {
	case a.Lost:
		return lost
	case a.Holder:
		return weighs
	}
	return bound
}
