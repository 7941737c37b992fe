// Package filter keeps container traffic inside the mesh from being masqueraded,
// and from being dropped on its way through FORWARD.
//
// Masquerading: the table "ip gremesh" belongs to gremesh alone. Its one chain
// runs directly before the chains that masquerade. It maps the source of
// traffic from the pool to a non-masquerade CIDR to itself. A connection that
// has a mapping is not mapped again. Docker's rules and the order of their
// creation therefore do not matter. Docker handles all other traffic. Most
// CIDRs are single addresses. They are in a set of that table, so a host that
// joins adds one element.
//
// A change consists of at most three nftables transactions: added elements,
// rules, removed elements. Therefore an address that is exempt both before and
// after the change is exempt at every moment between. Connections that began
// before a change keep their mapping.
//
// Broadcasts: Docker's bridge itself sends broadcasts to all its ports. The
// table "bridge gremesh" keeps them away from the port that leads into the
// tunnels. The same table drops frames with wrong sources, in both directions
// (Guard).
//
// Guard: the table "inet gremesh" keeps containers away from the tunnels, the
// gossip and the metrics of all hosts. It also drops packets with wrong
// sources.
//
// Forwarding: mesh traffic is accepted in DOCKER-USER, the chain of iptables
// that Docker reserves for other programs. Our rules stand after the operator's
// rules, and a comment identifies them. Blockers finds rules elsewhere that
// drop mesh traffic. Only a person can correct those.
//
// The configuration has the keys of ip-masq-agent (Config). It is inline, or in
// a File that is read again when it changes. Compile turns it into the
// destinations of Rules. A Host observes the packet filters. Diff compares
// without side effects. Apply makes the changes that Diff returns. gremesh
// deletes nothing but its own tables and the rules with its comment.
//
// The package works on the network namespace of the calling process. It uses
// nft(8), and also iptables-save(8) and iptables(8) if one of the two kinds of
// iptables has a filter table.
//
// Each call of nft takes some milliseconds. Therefore a Host first asks the
// kernel for the number of the ruleset. It does not list the ruleset again
// while that number stays the same.
//
// The methods of a Host and of a File may be called from any goroutine.
package filter
