package lease

// Follow withdraws the right of a founder: this host has joined a mesh of
// others, and takes no lease that they have not granted.
func (m *Machine) Follow() { m.cfg.Founder = false }
