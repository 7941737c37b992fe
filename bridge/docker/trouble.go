package docker

// Trouble is what keeps gremesh from doing its part with Docker. It is an error
// that names the remedy.
type Trouble struct {
	What string // what is wrong, and where
	Do   string // the command to run, or the step to take
}

// Error returns what is wrong.
func (t *Trouble) Error() string { return t.What }
