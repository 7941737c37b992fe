package lease

// vote is what a host has answered to a claim or a removal.
type vote uint8

const (
	silent vote = iota // nothing yet
	bound              // agrees while it holds no lease: it keeps its promise, and weighs nothing
	weighs             // agrees as a holder
	lost               // agrees, but has lost earlier promises: as good as silent
)

// voteOf returns the vote in an answer that grants a claim.
func voteOf(a Answer) vote {
	switch {
	case a.Lost:
		return lost
	case a.Holder:
		return weighs
	}
	return bound
}
