package gossip

import (
	"net/netip"
	"strings"
	"unicode"
)

// logLine is a line of memberlist's log, without what other hosts wrote.
type logLine struct {
	text string
	from netip.AddrPort // the other end; zero: none is named, or none that can be parsed
	// key means that the message could not be decrypted, or only one side
	// encrypts.
	key bool
	// stream means that the message came by a connection: its address is real.
	// Anybody can send a datagram with any source address.
	stream bool
}

// Words of memberlist that another host's own words follow.
var quotes = []string{"unacceptable label", "remote error", "unexpected node", "(from:"}

const maxLogLine = 300 // bytes

// parseLogLine reads "[LEVEL] memberlist: text … from=ADDRESS". The text may
// quote a packet that nobody has authenticated, and "from=" may be part of it:
// only an address at the very end counts, and quoted parts are dropped.
func parseLogLine(line string) logLine {
	text := strings.TrimSpace(line)
	if strings.HasPrefix(text, "[") {
		_, text, _ = strings.Cut(text, "]")
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "memberlist: ")

	var l logLine
	if i := strings.LastIndex(text, "from="); i >= 0 {
		if from, err := netip.ParseAddrPort(strings.TrimSpace(text[i+len("from="):])); err == nil {
			l.from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		}
		text = text[:i]
	}
	for _, words := range quotes {
		if i := strings.Index(text, words); i >= 0 {
			text = text[:i+len(words)]
		}
	}
	for _, quote := range []string{`"`, "'"} {
		first, last := strings.Index(text, quote), strings.LastIndex(text, quote)
		if first >= 0 {
			text = text[:first] + text[last+1:]
		}
	}
	l.key = foreignKey(text)
	l.stream = !strings.HasPrefix(text, "Decrypt packet failed")
	text = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	l.text = strings.TrimSpace(text[:min(len(text), maxLogLine)])
	return l
}
