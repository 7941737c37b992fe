package matrix

import (
	"path"
	"strings"
	"time"
)

// Suite is a package's tests.
type Suite struct {
	Folder  string // of the package, below the module's root
	Timeout time.Duration

	// Versioned is a regular expression of the tests whose result depends on the
	// versions of Docker and Open vSwitch. If it is empty, all of them do.
	Versioned string

	// Labs is true if the tests run gremesh in labs.
	Labs bool
}

// Suites returns what runs in a cell, the shortest suite first.
func Suites() []Suite {
	return []Suite{
		{Folder: "bridge/docker", Timeout: 5 * time.Minute},
		{Folder: "bridge", Timeout: 5 * time.Minute},
		{Folder: "bridge/masq", Timeout: 5 * time.Minute},
		{Folder: "ovsdb", Timeout: 10 * time.Minute},
		{Folder: "testenv", Timeout: 10 * time.Minute, Versioned: "Docker|Nothing|Recipe|OVS"},
		{Folder: "testenv/e2e", Timeout: 60 * time.Minute, Labs: true, Versioned: strings.Join([]string{
			"README",       // the commands that a newcomer types
			"WithDocker",   // the mesh's addresses on docker0, containers, restarts
			"Masquerading", // Docker's rules and ours
			"Direct",       // packets that Docker drops unless it is told
			"MTU",          // daemon.json and what Docker makes of it
			"DaemonJSON",   // the keys that a version knows
			"Uninstall",    // what Docker leaves behind
			"Attack",       // the guard's rules, beside Docker's and as this nft lists them
			"WithoutGRE",   // GRE, VXLAN and Geneve of this Open vSwitch
		}, "|")},
	}
}

// binary is the name of the suite's test binary.
func (s Suite) binary() string { return strings.ReplaceAll(s.Folder, "/", "_") + ".test" }

// command returns the test binary's arguments. Run selects tests by a regular
// expression; if it is empty, versionedOnly selects Versioned.
func (s Suite) command(bin, run string, versionedOnly bool) []string {
	if run == "" && versionedOnly {
		run = s.Versioned
	}
	argv := []string{path.Join(bin, s.binary()), "-test.v", "-test.timeout=" + s.Timeout.String()}
	if run != "" {
		argv = append(argv, "-test.run="+run)
	}
	if s.Labs {
		argv = append(argv, "-gremesh="+path.Join(bin, "gremesh"))
	}
	return argv
}
