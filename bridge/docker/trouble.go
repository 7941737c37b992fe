package docker

// Trouble is an error that prevents gremesh from managing Docker. It names the
// remedy.
type Trouble struct {
	What string // the problem, and where it is
	Do   string // the command to run, or the step to take
}

// Error returns the problem without the remedy.
func (t *Trouble) Error() string { return t.What }
