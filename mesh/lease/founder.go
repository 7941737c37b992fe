package lease

// Follow withdraws this host's right to take a first lease by itself. The owner
// calls it when this host has joined an existing mesh. From then on this host
// takes no lease that the other hosts have not granted.
func (m *Machine) Follow() { m.cfg.Founder = false }
