// Package kernel runs a command on a real Linux kernel with Open vSwitch's
// datapath, on a machine whose own kernel need not have it.
//
// Run boots a throw-away user-mode Linux (Debian's package user-mode-linux: an
// ordinary process, without KVM and without an image), whose root is the
// machine's files under an overlay in memory: what the command changes is lost
// with the guest, except in Config.Share. The guest is up in 2 s; the command
// begins when it has been up for 10 s, for the sake of ovs-vswitchd.
//
// The guest's first process is the program that called Run, started again, as
// the watchdog of package testenv is: see guest.go. It must not have the race
// detector, which wants more address space than a guest's process has (512 GiB).
// The two halves agree by a file, job.json, and speak by the consoles.
//
// What such a kernel lacks is not assumed but probed, by a Feature.
package kernel
