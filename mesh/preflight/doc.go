// Package preflight checks what a host needs before gremesh changes anything on
// it. A check only looks: it installs, starts and changes nothing. The package
// knows no part of the machine; its caller brings the checks.
//
// Functions may be called from any goroutine.
package preflight
