package main

import (
	"os"
	"runtime/debug"

	"github.com/gremesh/gremesh/cmd/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Program{Version: buildVersion(), Components: newComponents}, os.Args[1:], os.Stdout, os.Stderr))
}

// version is set by the linker: -X main.version=v0.1.0.
var version string

// buildVersion returns the version of this binary.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
