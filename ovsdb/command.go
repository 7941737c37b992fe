package ovsdb

import (
	"encoding/json"
	"regexp"
	"strings"
)

// The ovs-vsctl(8) command lines that are equivalent to the operations, for
// people and shells.

// addBridge returns the command that creates a bridge in one ovs-vsctl
// transaction.
func addBridge(name string, bridge, local []column) string {
	return ovsVsctl("add-br", name) +
		settings("bridge", name, bridge) +
		settings("interface", name, local)
}

// addPort returns the command that creates a port in one ovs-vsctl transaction.
// The port therefore never exists without protected=true.
func addPort(bridge, name string, port, iface []column) string {
	return ovsVsctl("add-port", bridge, name) +
		settings("port", name, port) +
		settings("interface", name, iface)
}

// setColumn returns the command that sets one column of a row, or removes its
// value.
func setColumn(table, name string, c column) string {
	switch {
	case c.value != nil:
		return ovsVsctl("set", table, name, assignment(c))
	case c.key == "":
		return ovsVsctl("clear", table, name, c.name)
	}
	return ovsVsctl("remove", table, name, c.name, c.key)
}

func ovsVsctl(args ...string) string { return "ovs-vsctl " + arguments(args...) }

// settings returns a further ovs-vsctl subcommand for the same line. It returns
// "" if no column has a value.
func settings(table, name string, columns []column) string {
	args := []string{"set", table, name}
	for _, c := range columns {
		if c.value != nil {
			args = append(args, assignment(c))
		}
	}
	if len(args) == 3 {
		return ""
	}
	return " -- " + arguments(args...)
}

// plain matches values that ovs-vsctl accepts without quotes (ovs-vsctl(8),
// Database Values). Other values need the quotes of a JSON string.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.:/@-]*$`)

func assignment(c column) string {
	value := c.text()
	if !plain.MatchString(value) {
		quoted, _ := json.Marshal(value) // encoding a string cannot fail
		value = string(quoted)
	}
	return c.String() + "=" + value
}

// safe matches arguments that a shell does not change.
var safe = regexp.MustCompile(`^[A-Za-z0-9_.:/@=-]+$`)

func arguments(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if !safe.MatchString(a) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
}
