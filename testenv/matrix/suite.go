package matrix

import (
	"path"
	"strings"
	"time"
)

// Suite describes the tests of a package.
type Suite struct {
	Folder  string // of the package, below the module's root
	Timeout time.Duration

	// Versioned is a regular expression of the tests whose result depends on
	// the versions of Docker and Open vSwitch. If it is empty, the results of
	// all tests do.
	Versioned string

	// Labs is true if the tests run gremesh in labs.
	Labs bool
}

// Suites returns the suites that run in a cell, the shortest suite first.
func Suites() []Suite {
	return []Suite{
		{Folder: "bridge/docker", Timeout: 5 * time.Minute},
		{Folder: "bridge", Timeout: 5 * time.Minute},
		{Folder: "bridge/filter", Timeout: 5 * time.Minute},
		{Folder: "ovsdb", Timeout: 10 * time.Minute},
		{Folder: "testenv", Timeout: 10 * time.Minute, Versioned: "Docker|Nothing|Recipe|OVS"},
		{Folder: "testenv/e2e", Timeout: 60 * time.Minute, Labs: true, Versioned: strings.Join([]string{
			"README",       // the commands that a new user types
			"WithDocker",   // the mesh's addresses on docker0, containers, restarts
			"Masquerading", // Docker's rules and gremesh's rules
			"Direct",       // packets that Docker drops by default
			"MTU",          // daemon.json and its effect on Docker
			"DaemonJSON",   // the keys that a version knows
			"Uninstall",    // what Docker leaves behind
			"Attack",       // the guard's rules, beside Docker's and in the format of this nft
			"WithoutGRE",   // GRE, VXLAN and Geneve of this Open vSwitch
		}, "|")},
	}
}

// binary returns the name of the suite's test binary.
func (s Suite) binary() string { return strings.ReplaceAll(s.Folder, "/", "_") + ".test" }

// command returns the test binary and its arguments. run is a regular
// expression that selects tests. If run is empty, versionedOnly selects the
// tests in Versioned.
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
