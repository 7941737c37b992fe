package filter

import (
	"net/netip"
	"slices"
	"strings"
)

// judgedSave evaluates a chain of iptables-save.
func judgedSave(c Chain, t traffic) judged {
	var out judged
	if c.Policy == "DROP" {
		out.policy = drops
	}
	for _, rule := range c.Rules {
		out.rules = append(out.rules, judgedSaveRule(rule, t))
	}
	return out
}

func judgedSaveRule(rule string, t traffic) judgedRule {
	r := judgedRule{text: rule, matches: yes}
	words := splitQuoted(rule)
	for i := 0; i < len(words); {
		not := words[i] == "!"
		if not {
			i++
		}
		if i+1 >= len(words) {
			r.matches = min(r.matches, maybe)
			break
		}
		option, value := words[i], words[i+1]
		i += 2
		match := yes
		switch option {
		case "-s":
			match = inPrefix(t.src, value)
		case "-d":
			match = inPrefix(t.dst, value)
		case "-i":
			match = isDevice(t.In, value, "+")
		case "-o":
			match = isDevice(t.Out, value, "+")
		case "--ctstate", "--state":
			match = isNew(strings.Split(value, ","))
		case "-m", "--comment", "--reject-with": // these do not restrict the match
			not = false
		case "-j", "-g":
			r.verdict, r.target = saveVerdict(option, value)
		default:
			// The number of this option's values is unknown: skip all words up
			// to the next option.
			match, not = maybe, false
			if strings.HasPrefix(value, "-") || value == "!" {
				i--
			}
			for i < len(words) && !strings.HasPrefix(words[i], "-") && words[i] != "!" {
				i++
			}
		}
		r.matches = min(r.matches, match.not(not))
	}
	return r
}

func saveVerdict(option, target string) (verdict, string) {
	switch target {
	case "ACCEPT":
		return accepts, ""
	case "DROP", "REJECT":
		return drops, ""
	case "RETURN":
		return returns, ""
	case "LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "AUDIT", "TRACE":
		return fallThrough, ""
	}
	if option == "-g" {
		return leaves, target
	}
	return jumps, target
}

func inPrefix(p netip.Prefix, text string) answer {
	if !strings.Contains(text, "/") {
		text += "/32"
	}
	in, err := netip.ParsePrefix(text)
	if err != nil {
		return maybe
	}
	return inNetwork(p, in)
}

// isNew reports whether states include NEW, which is conntrack's state of new
// connections.
func isNew(states []string) answer {
	if slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, "new") }) {
		return yes
	}
	return no
}

// splitQuoted splits a rule at blanks outside double quotes. Within quotes a
// backslash escapes the next character (iptables-save(8)).
func splitQuoted(rule string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(rule, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}
