package filter

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// judgedNative evaluates a table of nftables. bases are the names of its base
// chains for forwarded traffic. It returns nothing if the JSON text is
// malformed.
func judgedNative(n Native, t traffic) (chains map[string]judged, bases []string) {
	objects, err := parseObjects(n.JSON)
	if err != nil {
		return nil, nil
	}
	chains = map[string]judged{}
	maps := map[string][]json.RawMessage{}
	for _, o := range objects {
		if o.Map != nil {
			maps[o.Map.Name] = o.Map.Elem
		}
	}
	for _, o := range objects {
		switch {
		case o.Chain != nil:
			var c judged
			if o.Chain.Policy == "drop" {
				c.policy = drops
			}
			if o.Chain.Hook == "forward" {
				bases = append(bases, o.Chain.Name)
			}
			chains[o.Chain.Name] = c
		case o.Rule != nil:
			c := chains[o.Rule.Chain]
			r := judgedNativeRule(o.Rule.Expr, t, maps)
			r.text = ruleText(n.Text, o.Rule.Handle)
			c.rules = append(c.rules, r)
			chains[o.Rule.Chain] = c
		}
	}
	return chains, bases
}

// ruleText returns the text of a rule. It finds the rule in the listing by its
// handle, which no other object of the table has.
func ruleText(listing string, handle int) string {
	for line := range strings.Lines(listing) {
		if rule, ok := strings.CutSuffix(strings.TrimSpace(line), fmt.Sprintf(" # handle %d", handle)); ok {
			return rule
		}
	}
	return fmt.Sprintf("the rule with handle %d", handle)
}

func judgedNativeRule(expr []map[string]json.RawMessage, t traffic, maps map[string][]json.RawMessage) judgedRule {
	r := judgedRule{matches: yes}
	for _, statement := range expr {
		for kind, value := range statement {
			switch kind {
			case "match":
				r.matches = min(r.matches, nativeMatch(value, t))
			case "accept":
				r.verdict = accepts
			case "drop", "reject":
				r.verdict = drops
			case "return":
				r.verdict = returns
			case "jump", "goto":
				var to struct{ Target string }
				if json.Unmarshal(value, &to) != nil {
					r.matches = min(r.matches, maybe)
				}
				if r.verdict, r.target = jumps, to.Target; kind == "goto" {
					r.verdict = leaves
				}
			case "counter", "log":
			case "vmap":
				v, known := nativeVmap(value, t, maps)
				if !known {
					r.matches, r.verdict = min(r.matches, maybe), jumps
					continue
				}
				r.matches = min(r.matches, v.matches)
				r.verdict, r.target = v.verdict, v.target
			default:
				// The effect of other statements is unknown, such as a limit or
				// a match of iptables.
				r.matches = min(r.matches, maybe)
				if r.verdict == fallThrough {
					r.verdict = jumps
				}
			}
		}
	}
	return r
}

// nativeMatch evaluates a match statement (libnftables-json(5)). It returns
// maybe for a statement that it does not know.
func nativeMatch(value json.RawMessage, t traffic) answer {
	if is, known := markMatch(value, t.mark); known {
		return is
	}
	var m struct {
		Op   string
		Left struct {
			Meta    struct{ Key string }
			Payload struct{ Protocol, Field string }
			Ct      struct{ Key string }
		}
		Right any
	}
	if json.Unmarshal(value, &m) != nil || m.Op != "==" && m.Op != "!=" && m.Op != "in" {
		return maybe
	}
	var one func(right any) answer
	switch {
	case m.Left.Meta.Key == "iifname" || m.Left.Meta.Key == "iif":
		one = device(t.In)
	case m.Left.Meta.Key == "oifname" || m.Left.Meta.Key == "oif":
		one = device(t.Out)
	case m.Left.Payload.Protocol == "ip" && m.Left.Payload.Field == "saddr":
		one = address(t.src)
	case m.Left.Payload.Protocol == "ip" && m.Left.Payload.Field == "daddr":
		one = address(t.dst)
	case m.Left.Payload.Protocol == "ip6":
		return no
	case m.Left.Ct.Key == "state":
		one = state
	case m.Left.Ct.Key == "status":
		return no.not(m.Op == "!=") // new connections between containers have no status
	case m.Left.Meta.Key == "nfproto":
		one = text("ipv4")
	default:
		return maybe
	}
	return anyOf(m.Right, one).not(m.Op == "!=")
}

// anyOf returns the best answer for the members of a list or of an anonymous
// set. For any other value it returns the answer for that value.
func anyOf(right any, one func(any) answer) answer {
	list, isList := right.([]any)
	if set, ok := right.(map[string]any); ok {
		if members, ok := set["set"]; ok {
			list, isList = members.([]any)
		}
	}
	if !isList {
		return one(right)
	}
	best := no
	for _, member := range list {
		best = max(best, one(member))
	}
	return best
}

func device(name string) func(any) answer {
	return func(right any) answer {
		s, ok := right.(string)
		if !ok || strings.HasPrefix(s, "@") {
			return maybe
		}
		return isDevice(name, s, "*")
	}
}

func text(is string) func(any) answer {
	return func(right any) answer {
		if right == is {
			return yes
		}
		return no
	}
}

func state(right any) answer {
	s, ok := right.(string)
	if !ok {
		return maybe
	}
	return isNew([]string{s})
}

func address(p netip.Prefix) func(any) answer {
	return func(right any) answer {
		switch r := right.(type) {
		case string:
			return inPrefix(p, r) // maybe for a named set, because it is no address
		case map[string]any:
			network, _ := r["prefix"].(map[string]any)
			addr, _ := network["addr"].(string)
			bits, _ := network["len"].(float64)
			ip, err := netip.ParseAddr(addr)
			if err != nil {
				return maybe
			}
			return inNetwork(p, netip.PrefixFrom(ip, int(bits)))
		}
		return maybe
	}
}
