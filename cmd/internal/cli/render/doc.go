// Package render formats what the command line prints for people: tables, the
// matrix of tunnels, and plans as shell scripts.
//
// Every function is pure: it takes a value that the agent sent and returns
// text. Text from other hosts is never a line of its own in a script. Colours
// are escape sequences and change nothing else. Any goroutine may call it.
package render
