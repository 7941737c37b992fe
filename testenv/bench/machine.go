package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes the machine of the measurement.
type Machine struct {
	CPU        string     `json:"cpu"`
	Processors int        `json:"processors"`
	Memory     string     `json:"memory"`
	Load       string     `json:"load"` // of the last 1, 5 and 15 minutes at the start
	Versions   []Software `json:"versions"`
}

// Software is a measured program, or a program that was used to measure.
type Software struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// thisMachine describes this machine with the versions of all programs that the
// measurements need. It includes flannel and etcd only if they are installed,
// because the tables can do without them.
func thisMachine(ctx context.Context, cfg Config) (Machine, error) {
	m := Machine{
		CPU:        field("/proc/cpuinfo", "model name"),
		Processors: runtime.NumCPU(),
		Memory:     gigabytes(field("/proc/meminfo", "MemTotal")),
		Load:       strings.Join(strings.Fields(firstLine("/proc/loadavg"))[:3], " "),
		Versions:   []Software{{"Linux", firstLine("/proc/sys/kernel/osrelease")}},
	}
	commands := [][]string{
		{"Open vSwitch", "ovs-vswitchd", "--version"},
		{"dockerd", "dockerd", "--version"},
		{"iperf3", "iperf3", "--version"},
		{"gremesh", cfg.Binary, "version"}, // includes the version of Go
	}
	if overlayMissing(cfg) == nil {
		commands = append(commands, []string{"flannel", cfg.Flannel, "--version"}, []string{"etcd", "etcd", "--version"})
	}
	for _, command := range commands {
		out, err := exec.CommandContext(ctx, command[1], command[2:]...).CombinedOutput()
		if err != nil {
			return m, fmt.Errorf("ask %s for its version: %w", command[1], err)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		m.Versions = append(m.Versions, Software{command[0], version(line)})
	}
	return m, nil
}

// version returns the first word that begins with a digit, as in "ovs-vswitchd
// (Open vSwitch) 3.1.0". If there is none, it returns the line without its
// first word. It returns a line of one word unchanged.
func version(line string) string {
	words := strings.Fields(line)
	for _, w := range words {
		if w[0] >= '0' && w[0] <= '9' {
			return strings.TrimSuffix(w, ",")
		}
	}
	if len(words) < 2 {
		return line
	}
	return strings.Join(words[1:], " ")
}

// gigabytes converts text such as "24684084 kB" to GB. Here one kB is 1,024
// bytes, and one GB is 10^9 bytes.
func gigabytes(text string) string {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(kilobytes*1024/1e9, 'f', 0, 64) + " GB"
}

// field returns the first "name: value" in a file of proc(5), or "unknown".
func field(file, name string) string {
	text, _ := os.ReadFile(file) // the report can do without the value
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	text, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
