// Package regular reads files that others may have put something else in the
// place of: a named pipe would keep the reader waiting for ever, and a device
// has no end.
//
// The package keeps nothing; its functions may be called from any goroutine.
package regular
