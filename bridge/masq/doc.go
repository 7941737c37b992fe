// Package masq keeps container traffic inside the mesh from being
// masqueraded, and from being dropped on its way through FORWARD.
//
// Masquerading: the table "ip gremesh" is ours alone. Its one chain runs just
// before those that masquerade and maps the source of traffic from the pool to
// a non-masquerade CIDR to itself; a connection that has its mapping is not
// mapped again, whatever Docker's rules are and in whatever order they were
// made. All other traffic is left to Docker.
// Single addresses, which are most of them, are in a set of that table: a host
// that joins is one more element. A change is up to three nftables transactions:
// elements that come, rules, elements that go; so what is kept before it and
// after it is kept at every moment between.
// Connections that began before a change keep the mapping that they have.
//
// Broadcasts: the table "bridge gremesh" keeps what Docker's bridge itself sends
// to all its ports from one of them, the way into the tunnels.
//
// Forwarding: mesh traffic is accepted in DOCKER-USER, the chain of iptables
// that Docker leaves to others. Our rules stand behind those of the operator,
// and are known by their comment. What drops mesh traffic elsewhere is found
// by Obstacles, and can be mended by people only.
//
// The configuration has the keys of ip-masq-agent (Config), inline or in a
// File that is read again when it changes. Compile makes Rules of it; a Host
// observes; Diff compares, purely; Apply carries out what Diff found. Nothing
// is deleted but the tables and the rules with our comment. Everything works on
// the network namespace of the calling process, by nft(8), and by
// iptables-save(8) and iptables(8) where one of its two kinds has a filter
// table.
//
// Each call of nft costs some milliseconds, so a Host asks the kernel for the
// number of the ruleset first, and does not list again what that says has not
// changed.
//
// The methods of a Host and of a File may be called from any goroutine.
package masq
