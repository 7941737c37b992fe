// Package kernel runs a command on a real Linux kernel with Open vSwitch's
// datapath, on a machine whose own kernel need not have it.
//
// Run boots a throw-away kernel, whose root is the machine's files under an
// overlay in memory: what the command changes is lost with the guest, except in
// Config.Share. There are two beds, and neither needs KVM or an image. UML is
// user-mode Linux, an ordinary process that is up in 2 s. QEMU emulates a machine
// that runs Debian's own kernel, which has all families of nftables: it is up in
// 5 s, and several times slower. The command begins when the guest has been up for
// 10 s, for the sake of ovs-vswitchd.
//
// The guest's first process is the program that called Run, started again, as
// the watchdog of package testenv is: see guest.go. With QEMU it begins in an
// initial RAM disk, loads the modules that mount the machine's files, and starts
// itself from there: see initrd_guest.go. With UML it must not have the race
// detector, which wants more address space than a guest's process has (512 GiB).
// With QEMU it must be static. The two halves agree by a file, job.json, and speak
// by the consoles.
//
// What such a kernel lacks is not assumed but probed, by a Feature.
package kernel
