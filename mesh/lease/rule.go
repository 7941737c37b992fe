package lease

// rule is one of those on which everything rests. Tests switch one off, to see
// that the simulation then finds what breaks.
type rule string

const (
	none          rule = ""
	majority      rule = "the majority"
	oneGrant      rule = "one grant per subnet"
	higherVersion rule = "the higher version wins"
	recall        rule = "an elector that has lost its promises is silent"
	consent       rule = "a majority agrees to a removal"
	handOver      rule = "those who agree to a removal hand over their tables"
	storedGrant   rule = "a grant is a stored record"
)
