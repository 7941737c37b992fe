package gossip

import (
	"net/netip"
	"strings"
	"unicode"
)

// logLine is a parsed line of memberlist's log. It contains no text from other
// hosts.
type logLine struct {
	text string
	from netip.AddrPort // the other end; zero: the line names none, or an invalid one
	// key means that the message could not be decrypted, or that only one side
	// encrypts.
	key bool
	// stream means that the message came over a connection, so its address is
	// real. The source address of a datagram can be forged.
	stream bool
}

// quotes are the texts of memberlist that precede text from another host.
var quotes = []string{"unacceptable label", "remote error", "unexpected node", "(from:"}

const maxLogLine = 300 // in bytes

// parseLogLine parses "[LEVEL] memberlist: text … from=ADDRESS". The text may
// quote an unauthenticated packet, and the quote may contain "from=". Therefore
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
