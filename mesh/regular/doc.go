// Package regular reads regular files and refuses everything else. Another
// program may have replaced a file: a named pipe would block the reader
// forever, and a device may have no end.
//
// The package keeps no state. Its functions may be called from any goroutine.
package regular
