package lease

// rule is one of the rules that the protocol's safety depends on. Tests disable
// one rule at a time, and check that the simulation then finds a violation.
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
