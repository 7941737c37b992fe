// Package bridge reconciles the Linux side of a host. It covers Docker's bridge
// with its bip and pinned MAC address, and the OVS bridge's device enslaved to it.
// It also covers routes, pinned neighbours and forwarding entries of peers, and five
// sysctls. Among production packages, only this one imports netlink.
//
// [Kernel.Observe] reads the observed state, [Diff] compares it without side
// effects, and [Kernel.Apply] applies the changes. All act on the network namespace
// of the calling process.
//
// Before gremesh's first change, [Kernel.SaveOriginal] stores the original state in
// host.json of the state directory. A Diff with a [RestoreSpec] restores it. A
// restored MAC address is a fixed one, because gremesh cannot know whether the
// original one was set explicitly.
//
// The package deletes only gremesh's own objects:
//   - routes of RouteProtocol;
//   - the enslavement of the OVS bridge's device;
//   - pinned neighbours and forwarding entries;
//   - addresses of Docker's bridge whose networks overlap the pool, except the bip;
//   - when it restores the original state: a Docker bridge that gremesh created, and
//     the IPv6 link-local address that the kernel derived from a pinned MAC address.
//
// Any goroutine may call a Kernel's methods. While Run runs, the Kernel caches the
// tables that grow with the number of peers (tables.go). The kernel's notifications
// update this cache. Changes by this process itself cause no event.
//
// The kernel sends no notification for some changes, such as the deletion of routes
// together with an address. After such a change, and after Refresh, the next
// Observe reads the tables in full.
package bridge
