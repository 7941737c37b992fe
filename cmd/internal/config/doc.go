// Package config builds one checked Config from a file, the environment and
// flags. The later source wins.
//
// A configuration with a fault is never used: Load returns one error for each
// fault, with the key, the value, the origin of the value, and what is allowed.
// The package reads files and changes nothing, except that WriteGossipKey
// creates a key file. It keeps no state and starts no goroutines; any goroutine
// may call it.
package config
