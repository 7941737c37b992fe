package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

var pathKernel = Table{
	Name: "data path, kernel",
	Base: recipePath,
	Text: `Between containers of two hosts on the kernel's datapath. With TESTENV_DATAPATH=system it is that of the
machine, else that of a throw-away user-mode Linux with one processor, where only ratios mean anything. The gretap
device is a port of docker0, in place of Open vSwitch; on the bare underlay host speaks to host. A sample is the median of
a lab, and each lab is new. ` + pathText,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		if os.Getenv("TESTENV_DATAPATH") == "system" {
			return measureKernelPaths(ctx, cfg, s)
		}
		return measureInGuest(ctx, cfg, s)
	},
}

func measureKernelPaths(ctx context.Context, cfg Config, s *samples) error {
	return pathPlan{
		datapath: "system", labs: 2, rounds: 4,
		ways: []way{
			{name: recipePath, form: (*testenv.Lab).RecipeAtOnce, mtu: greMTU},
			{name: "gremesh"},
			{name: "gretap in a Linux bridge", form: gretap, mtu: greMTU},
			{name: "bare underlay", bare: true},
		},
	}.measure(ctx, cfg, s)
}

// gretap connects the docker0 devices of two hosts with GRE devices of the
// kernel.
func gretap(l *testenv.Lab, ctx context.Context) error {
	return l.Each(func(h *testenv.Host) error {
		peer := l.Host(1)
		if peer == h {
			peer = l.Host(2)
		}
		return h.RecipeGretap(ctx, peer)
	})
}

// guestEnv holds the Config of a process that measures in a guest.
const guestEnv = "BENCH_GUEST"

// guestTime limits a boot, the labs with Docker on one processor, and their
// rounds.
const guestTime = 45 * time.Minute

// guestFound is the output of such a process.
type guestFound struct {
	Kernel string
	Series []Series
}

// measureInGuest starts this program again in a guest.
func measureInGuest(ctx context.Context, cfg Config, s *samples) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := cfg.Log
	cfg.Log = nil
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	log.Info("booting a guest kernel")
	guest := kernel.Config{Stdout: &out, Stderr: os.Stderr, Memory: "4G", Timeout: guestTime}
	if err := kernel.Run(ctx, guest, "env", guestEnv+"="+string(text), "TESTENV_DATAPATH=system", self); err != nil {
		return err
	}
	var found guestFound
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return fmt.Errorf("read what the guest found: %w", err)
	}
	s.note = fmt.Sprintf("Measured in a user-mode Linux %s with one processor.", found.Kernel)
	s.series = append(s.series, found.Series...)
	return nil
}

// A program that measures starts itself again in its guest. See package kernel.
func init() {
	text := os.Getenv(guestEnv)
	if text == "" {
		return
	}
	_ = os.Unsetenv(guestEnv)
	if err := beGuest([]byte(text)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func beGuest(text []byte) error {
	var cfg Config
	if err := json.Unmarshal(text, &cfg); err != nil {
		return err
	}
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s := samples{table: pathKernel.Name}
	err := measureKernelPaths(context.Background(), cfg, &s)
	found := guestFound{Kernel: firstLine("/proc/sys/kernel/osrelease"), Series: s.series}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(found))
}
