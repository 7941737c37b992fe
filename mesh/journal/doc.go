// Package journal keeps a record of the last changes on this host, each with its
// time and its cause. The record is a file in the state directory with one JSON
// object per line. The file remains when the agent stops, and people can read it
// while the agent is stopped. The verb `gremesh history` shows it.
//
// The journal is for people only: gremesh makes no decision from it. Therefore
// an entry is not synced to disk, and a reader skips damaged lines. A full disk
// causes a warning and lost entries, but it never prevents a correction.
//
// A File may be used from any goroutine. Only one process may append to it.
package journal
