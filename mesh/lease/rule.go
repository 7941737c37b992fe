package lease

// rule is one of those on which everything rests. Tests switch one off, to see
// that the simulation then finds what breaks.
type rule string

const (
	none          rule = ""
	majority      rule = "the majority"
	oneGrant      rule = "one grant per subnet"
	higherVersion rule = "the higher version wins"
)
