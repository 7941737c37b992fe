package filter

import (
	"encoding/json"
	"strings"
)

// nativeVmap evaluates a verdict map. Docker 29 has such maps for its bridges.
// It looks up the traffic's device, or the state of a new connection. It
// returns false for other keys.
func nativeVmap(value json.RawMessage, t traffic, maps map[string][]json.RawMessage) (r judgedRule, known bool) {
	var m struct {
		Key struct {
			Meta struct{ Key string }
			Ct   struct{ Key string }
		}
		Data json.RawMessage
	}
	if json.Unmarshal(value, &m) != nil {
		return r, false
	}
	var one func(any) answer
	switch {
	case m.Key.Meta.Key == "iifname" || m.Key.Meta.Key == "iif":
		one = device(t.In)
	case m.Key.Meta.Key == "oifname" || m.Key.Meta.Key == "oif":
		one = device(t.Out)
	case m.Key.Ct.Key == "state":
		one = state
	default:
		return r, false
	}
	var name string
	var inline struct{ Set []json.RawMessage }
	var elements []json.RawMessage
	switch {
	case json.Unmarshal(m.Data, &name) == nil:
		var exists bool
		if elements, exists = maps[strings.TrimPrefix(name, "@")]; !exists {
			return r, false
		}
	case json.Unmarshal(m.Data, &inline) == nil:
		elements = inline.Set
	default:
		return r, false
	}
	for _, e := range elements {
		var pair []json.RawMessage
		var key any
		if json.Unmarshal(e, &pair) != nil || len(pair) != 2 || json.Unmarshal(key0(pair), &key) != nil {
			return r, false
		}
		if one(key) != yes {
			continue
		}
		r.matches = yes
		var verdict map[string]json.RawMessage
		if json.Unmarshal(pair[1], &verdict) != nil {
			return r, false
		}
		return verdictOf(verdict), true
	}
	return judgedRule{matches: no}, true
}

// key0 returns the key of an element. A comment or a counter may enclose the
// key.
func key0(pair []json.RawMessage) json.RawMessage {
	var around struct{ Elem struct{ Val json.RawMessage } }
	if json.Unmarshal(pair[0], &around) == nil && around.Elem.Val != nil {
		return around.Elem.Val
	}
	return pair[0]
}

func verdictOf(verdict map[string]json.RawMessage) judgedRule {
	r := judgedRule{matches: yes}
	for kind, value := range verdict {
		switch kind {
		case "accept":
			r.verdict = accepts
		case "drop":
			r.verdict = drops
		case "return":
			r.verdict = returns
		case "jump", "goto":
			var to struct{ Target string }
			if json.Unmarshal(value, &to) != nil {
				r.matches = maybe
			}
			if r.verdict, r.target = jumps, to.Target; kind == "goto" {
				r.verdict = leaves
			}
		}
	}
	return r
}

// markMatch evaluates a match of the packet mark, such as bridge-accept-fwmark
// creates. The match compares the whole mark or the bits of a mask. markMatch
// returns false if value is another match.
func markMatch(value json.RawMessage, mark uint32) (is answer, known bool) {
	var m struct {
		Op    string
		Left  json.RawMessage
		Right any
	}
	if json.Unmarshal(value, &m) != nil {
		return maybe, false
	}
	want, isNumber := m.Right.(float64)
	if !isNumber || m.Op != "==" && m.Op != "!=" {
		return maybe, false
	}
	type meta struct{ Meta struct{ Key string } }
	var whole meta
	var masked struct {
		And []json.RawMessage `json:"&"`
	}
	have := mark
	switch {
	case json.Unmarshal(m.Left, &whole) == nil && whole.Meta.Key == "mark":
	case json.Unmarshal(m.Left, &masked) == nil && len(masked.And) == 2:
		var mask uint32
		if json.Unmarshal(masked.And[0], &whole) != nil || whole.Meta.Key != "mark" || json.Unmarshal(masked.And[1], &mask) != nil {
			return maybe, false
		}
		have &= mask
	default:
		return maybe, false
	}
	is = no
	if float64(have) == want {
		is = yes
	}
	return is.not(m.Op == "!="), true
}
