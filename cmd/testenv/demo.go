package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv"
)

// meshTime limits how long the demo waits for a full mesh.
const meshTime = 2 * time.Minute

func demoCommand() *cobra.Command {
	cfg := testenv.Config{Docker: true}
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch hosts find each other and containers ping each other",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{out: cmd.OutOrStdout(), begin: time.Now()}
			err := d.run(cmd.Context(), cfg)
			if d.lab == nil {
				return err
			}
			if keep {
				err = errors.Join(err, d.lab.Keep())
				printEntrance(d.out, d.lab)
				return err
			}
			if closed := d.lab.Close(); closed != nil {
				return errors.Join(err, closed)
			}
			d.step("lab", "%s: removed", d.lab.Name)
			return err
		},
	}
	labFlags(cmd, &cfg)
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the lab up")
	return cmd
}

// demo is one run of the demo.
type demo struct {
	out   io.Writer
	begin time.Time
	lab   *testenv.Lab
}

// step prints a line of progress.
func (d *demo) step(who, what string, args ...any) {
	fmt.Fprintf(d.out, "[%5.1fs] %-4s %s\n", time.Since(d.begin).Seconds(), who, fmt.Sprintf(what, args...))
}

// title prints a heading.
func (d *demo) title(what string, args ...any) {
	fmt.Fprintf(d.out, "\n%s\n\n", fmt.Sprintf(what, args...))
}

func (d *demo) run(ctx context.Context, cfg testenv.Config) error {
	d.title("%d hosts on this machine, each with its own Open vSwitch and its own Docker", cfg.Hosts)
	lab, err := testenv.New(ctx, cfg)
	if err != nil {
		return err
	}
	d.lab = lab
	if err := d.introduce(ctx); err != nil {
		return err
	}
	err = d.perform(ctx)
	switch {
	case ctx.Err() != nil: // the user pressed Ctrl-C, which caused the error
		return context.Cause(ctx)
	case err != nil:
		d.diagnose()
	}
	return err
}

// perform runs the demo from the start of the agents to the last ping.
func (d *demo) perform(ctx context.Context) error {
	took, err := d.formMesh(ctx)
	if err != nil {
		return err
	}
	addrs, err := d.runContainers(ctx)
	if err != nil {
		return err
	}
	if err := d.show(ctx); err != nil {
		return err
	}
	lost := d.pingAll(ctx, addrs)
	n := len(d.lab.Hosts())
	d.title("%d hosts, %d tunnels: all up %.1f s after the start of the agents.", n, n*(n-1), took.Seconds())
	if lost > 0 {
		return fmt.Errorf("%d of %d pings were lost", lost, n*(n-1))
	}
	return nil
}

// introduce prints the hosts of the lab and the versions of their programs.
func (d *demo) introduce(ctx context.Context) error {
	h1 := d.lab.Host(1)
	ovs, err := h1.Exec(ctx, "ovs-vswitchd", "--version") // ovs-vswitchd (Open vSwitch) 3.1.0
	if err != nil {
		return err
	}
	docker, err := h1.Exec(ctx, "docker", "version", "-f", "{{.Server.Version}}")
	if err != nil {
		return err
	}
	d.step("lab", "%s: %d hosts with Open vSwitch %s and Docker %s", d.lab.Name, len(d.lab.Hosts()),
		lastWord(ovs), strings.TrimSpace(docker))
	for _, h := range d.lab.Hosts() {
		d.step(h.Name, "is %s on the underlay", h.Addr)
	}
	return nil
}

// lastWord returns the last word of the first line.
func lastWord(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[strings.LastIndex(line, " ")+1:]
}

// formMesh starts all agents at once and reports the progress of each host. It
// returns the time until every host had all its tunnels up. It returns only
// after Docker has its bip on every host.
func (d *demo) formMesh(ctx context.Context) (time.Duration, error) {
	key, err := d.lab.Host(1).Exec(ctx, "gremesh", "keygen")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(d.lab.KeyFile(), []byte(key), 0o600); err != nil {
		return 0, err
	}
	if err := d.lab.Form(nil); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, meshTime, fmt.Errorf("no full mesh within %s", meshTime))
	defer cancel()
	d.step("all", "gremesh agent: h1 starts a mesh, the others join it at %s", d.lab.Host(1).Addr)
	start := time.Now()
	if err := d.lab.StartAgents(ctx); err != nil {
		return 0, err
	}
	var took time.Duration
	watch := newWatch(d)
	err = testenv.Until(ctx, func() error {
		switch up := watch.look(ctx); {
		case took > 0:
		case !up:
			return errors.New("not every tunnel is up")
		default:
			took = time.Since(start)
			d.step("all", "every tunnel is up at both ends")
		}
		return d.lab.Ready(ctx)
	})
	if err == nil {
		d.step("all", "docker0 and Docker have the new address on every host")
	}
	return took, err
}

// runContainers starts a container on each host, and returns their addresses.
func (d *demo) runContainers(ctx context.Context) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, h := range d.lab.Hosts() {
		addr, err := h.RunContainer(ctx, container(h))
		if err != nil {
			return nil, err
		}
		d.step(h.Name, "docker run --name %s: %s", container(h), addr)
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// container returns the name of the container on a host: c1 on h1.
func container(h *testenv.Host) string { return "c" + strings.TrimPrefix(h.Name, "h") }

// show prints h1's `gremesh status` and `ovs-vsctl show`.
func (d *demo) show(ctx context.Context) error {
	status, err := d.lab.Host(1).Gremesh(ctx, "status")
	if err != nil {
		return err
	}
	d.title("h1# gremesh status")
	fmt.Fprint(d.out, status)
	ovs, err := d.lab.Host(1).Exec(ctx, "ovs-vsctl", "show")
	if err != nil {
		return err
	}
	d.title("h1# ovs-vsctl show")
	fmt.Fprint(d.out, ovs)
	return nil
}

// diagnose prints information about each host after the demo has failed.
func (d *demo) diagnose() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, h := range d.lab.Hosts() {
		d.title("%s, as it is", h.Name)
		fmt.Fprint(d.out, h.Diagnosis(ctx))
	}
}

// printEntrance prints how to enter a lab that stays up, and how to remove it.
func printEntrance(w io.Writer, l *testenv.Lab) {
	fmt.Fprintf(w, `
The lab %[1]s is up.
  a shell on h1      bin/testenv exec %[1]s/h1 bash
                     (ovs-vsctl, docker and gremesh are h1's there)
  the same by hand   nsenter --net=%[2]s bash
  the files of h1    %[3]s
  take it down       bin/testenv down %[1]s
`, l.Name, l.Host(1).Netns(), l.Host(1).Dir)
}
