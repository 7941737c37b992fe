// Package bridge keeps the Linux side of a host: Docker's bridge with its bip
// and pinned MAC address, the OVS bridge's device enslaved to it, the
// aggregate route and three sysctls. It is the only importer of netlink.
//
// A Kernel observes; Diff compares, purely; Apply carries out what Diff found.
// Before the first change of all, Remember keeps what there is in host.json of the
// state directory, and a Diff against nothing that is told so ([Back]) puts it back. A
// MAC address is put back as a fixed one: whether it had been set before can not
// be known. Only what is ours is ever deleted: routes of RouteProtocol, the enslavement
// of the OVS bridge's device, and addresses of Docker's bridge that lie in the
// pool without being the bip. Everything works on the network namespace of the
// calling process.
//
// A Kernel's methods may be called from any goroutine. While its Run listens it
// keeps copies of the tables that grow with the number of peers (tables.go): the
// kernel's notices change them, and what this process itself has changed wakes
// nobody. What a notice does not say, such as the routes that go with an address,
// has them read as a whole by the next Observe; so does Refresh.
package bridge
