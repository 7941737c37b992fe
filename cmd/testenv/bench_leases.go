package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

const (
	stampedeHosts = 8
	stampedeAim   = 3 * time.Second // on two processors
)

// benchLeases measures how long hosts that start in the same instant take to
// distinct bips.
func benchLeases(ctx context.Context, out io.Writer, runs int, binary string) error {
	var took []float64
	for range runs {
		one, err := stampede(ctx, binary)
		if err != nil {
			return fmt.Errorf("%d agents at once: %w", stampedeHosts, err)
		}
		took = append(took, one.Seconds())
	}
	_, err := fmt.Fprintf(out, "\n%d agents at once, until docker0 has a bip of its own on each and all %d ports are\npresent: %s seconds; the aim is %g.\n",
		stampedeHosts, stampedeHosts*(stampedeHosts-1), spread(took), stampedeAim.Seconds())
	return err
}

// stampede makes a lab, starts all agents at once and returns how long it took.
func stampede(ctx context.Context, binary string) (took time.Duration, err error) {
	l, err := testenv.New(ctx, testenv.Config{Hosts: stampedeHosts, Binary: binary})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Form(nil); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, meshTime, fmt.Errorf("no distinct bips within %s", meshTime))
	defer cancel()
	start := time.Now()
	if err := l.StartAgents(ctx); err != nil {
		return 0, err
	}
	err = testenv.Until(ctx, func() error {
		n, err := l.Tunnels(ctx)
		if err == nil && n.Present != stampedeHosts*(stampedeHosts-1) {
			err = fmt.Errorf("%d tunnels are there", n.Present)
		}
		if err != nil {
			return err
		}
		return distinctBips(ctx, l)
	})
	return time.Since(start), err
}

// distinctBips asks the kernel of every host.
func distinctBips(ctx context.Context, l *testenv.Lab) error {
	holder := map[string]string{}
	for _, h := range l.Hosts() {
		out, err := h.Exec(ctx, "ip", "-o", "-4", "address", "show", "dev", "docker0")
		if err != nil {
			return err
		}
		_, bip, _ := strings.Cut(out, " inet ")
		bip, _, _ = strings.Cut(bip, " ")
		switch {
		case bip == "":
			return fmt.Errorf("%s: docker0 has no address", h.Name)
		case holder[bip] != "":
			return fmt.Errorf("%s and %s both have %s", holder[bip], h.Name, bip)
		}
		holder[bip] = h.Name
	}
	return nil
}
