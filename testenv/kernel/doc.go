// Package kernel runs a command on a real Linux kernel with the datapath of
// Open vSwitch. The machine's own kernel need not have that datapath.
//
// Run boots a throw-away kernel. Its root is the machine's files under an
// overlay in memory. Changes by the command are lost with the guest, except in
// Config.Share. There are two beds, and neither needs KVM or an image. UML is
// user-mode Linux, an ordinary process that boots in 2 s. QEMU emulates a
// machine that runs Debian's own kernel, which has all families of nftables. It
// boots in 5 s and is several times slower. The command starts when the guest
// has been up for 10 s, because ovs-vswitchd needs that (see settle).
//
// The guest's first process is the program that called Run, started again like
// the watchdog of package testenv; see guest.go. With QEMU it starts in an
// initial RAM disk. It loads the modules that mount the machine's files, and
// starts itself again from there; see initrd_guest.go. With UML the program
// must not have the race detector, which needs more address space than a
// process in the guest has (512 GiB). With QEMU it must be static. Run passes
// the job to the guest in a file, job.json. The guest answers on its consoles.
//
// Code must not assume which features such a kernel lacks. A Feature probes for
// each of them.
package kernel
