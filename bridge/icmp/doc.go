// Package icmp makes ICMP echo requests. It sends nothing and keeps no state. Its
// functions may be called from any goroutine.
package icmp
