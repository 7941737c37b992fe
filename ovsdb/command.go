package ovsdb

import (
	"encoding/json"
	"regexp"
	"strings"
)

// The ovs-vsctl(8) command lines that do the same as the operations, for people
// and their shells.

// addBridge makes a bridge in one ovs-vsctl transaction.
func addBridge(name string, bridge, local []column) string {
	return ovsVsctl("add-br", name) +
		settings("bridge", name, bridge) +
		settings("interface", name, local)
}

// addPort makes a port in one ovs-vsctl transaction: it is never without
// protected=true.
func addPort(bridge, name string, port, iface []column) string {
	return ovsVsctl("add-port", bridge, name) +
		settings("port", name, port) +
		settings("interface", name, iface)
}

// setColumn gives one column of a row its value, or takes it away.
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

// settings is a further ovs-vsctl subcommand on the same line, or nothing when
// no column has a value.
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

// plain are values that ovs-vsctl takes as they are (ovs-vsctl(8), Database
// Values); others want the quotes of a JSON string.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.:/@-]*$`)

func assignment(c column) string {
	value := c.text()
	if !plain.MatchString(value) {
		quoted, _ := json.Marshal(value) // a string always marshals
		value = string(quoted)
	}
	return c.String() + "=" + value
}

// safe are arguments that a shell takes as they are.
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
