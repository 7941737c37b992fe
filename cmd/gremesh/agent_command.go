package main

import (
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
)

func newAgentCommand(file *configFile) *cobra.Command {
	var profile bool
	cmd := &cobra.Command{
		Use:        "agent",
		SuggestFor: []string{"run", "start", "join", "init", "daemon"},
		Short:      "Run this host in the foreground",
		Long: `Run this host: join the mesh, take a subnet, and keep Open vSwitch, docker0 and
daemon.json as they should be until stopped.

The agent first checks the whole configuration, and whether this host has Open
vSwitch, nft and Docker. It reports all faults of the configuration at once, and
has changed nothing on the machine by then. Logs go to standard error.

--bootstrap creates a mesh, unless a host on the same network is in a mesh with
the same key; then this host joins that mesh. --join overrides mesh.bootstrap. If
this host lost its state and has since created a mesh of its own, it gives up
that mesh and joins the other.

SIGTERM and SIGINT stop the agent and nothing else: tunnels and routes stay, and
containers keep talking. To take this host out of the mesh: gremesh leave.

Exit codes: 0 stopped; 1 failed; 2 the command line or the configuration is wrong,
or a host without a lease lacks Open vSwitch, nft or Docker.`,
		Example: `  # the first host of a new mesh, and only there
  gremesh agent --bootstrap

  # every other host: one or more that are in the mesh
  gremesh agent --join 192.168.248.139 --join 192.168.248.140

  # under systemd, with all of it in /etc/gremesh/gremesh.yaml
  systemctl enable --now gremesh`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := file.load(cmd)
			if err != nil {
				return err
			}
			cfg.Profile = profile
			oneProcessor()
			limitMemory()
			return runAgent(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), cfg.Log))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&profile, "pprof", false, "answer /debug/pprof/ at the control socket, to root")
	meshFlags(cmd)
	return cmd
}

// meshFlags adds the flags for the keys that a host needs before it knows a
// mesh.
func meshFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Bool("bootstrap", false, "start a new mesh (mesh.bootstrap)")
	flags.StringSlice("join", nil, "`HOST[:PORT]` of the mesh to join; may be repeated (mesh.join)")
	flags.Bool("insecure", false, "gossip without a key (mesh.insecure)")
	flags.String("name", "", "`NAME` of this host in the mesh; default the host name (node.name)")
	flags.String("advertise", "", "underlay `ADDRESS`, network or interface of this host (node.advertise)")
	for flag, key := range map[string]string{
		"bootstrap": "mesh.bootstrap",
		"join":      "mesh.join",
		"insecure":  insecureKey,
		"name":      "node.name",
		"advertise": "node.advertise",
	} {
		// The error is always nil, because the flag was added above.
		_ = flags.SetAnnotation(flag, keyAnnotation, []string{key})
	}
}

// oneProcessor limits the agent to one processor at a time, unless the
// environment sets GOMAXPROCS. The agent does one thing after the other. With
// more processors, the Go runtime wakes another thread for each event to look
// for work, and finds none. This was a quarter of the CPU time of an idle host.
func oneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// memoryLimit is the soft limit for the memory of the Go runtime, in bytes. It
// is three times the memory that an agent with 1,000 peers uses. The rest is
// for messages that are read before they are authenticated.
const memoryLimit = 160 << 20

// limitMemory makes the Go runtime collect garbage before the agent exceeds
// memoryLimit, unless the environment sets GOMEMLIMIT.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// newLogger returns a logger with the configured format. In the format auto it
// writes text on a terminal and JSON elsewhere.
func newLogger(w io.Writer, cfg LogConfig) *slog.Logger {
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: cfg.Level, NoColor: !coloured(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: cfg.Level}))
}
