// Package preflight checks a host before gremesh changes anything on it. A
// check only reads: it installs, starts and changes nothing. The package
// contains no checks of its own; its caller supplies them.
//
// The functions may be called from any goroutine.
package preflight
