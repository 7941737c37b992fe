package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// outcome is what became of an attempt to join a host.
type outcome string

const (
	silent  outcome = "silent"  // no answer that could be read
	foreign outcome = "foreign" // an answer that is encrypted with another key, or only one side encrypts
	refused outcome = "refused" // an answer that was read, from a host that does not go with this one
)

// attempt is a failed attempt to join one address, or to resolve a seed.
type attempt struct {
	seed    string         // as configured; empty: an address that is remembered
	at      netip.AddrPort // zero: the seed has no address
	outcome outcome
	why     string // in gremesh's own words, or those of an authenticated host
}

func (a attempt) String() string {
	switch at := a.at.String(); {
	case !a.at.IsValid():
		return fmt.Sprintf("seed %s: %s", a.seed, a.why)
	case a.seed == "" || a.seed == at || a.seed == a.at.Addr().String():
		return at + ": " + a.why
	default:
		return fmt.Sprintf("%s (%s): %s", a.seed, at, a.why)
	}
}

const otherKey = "the seed's gossip is encrypted with another key, or not at all (mesh.key_file, mesh.insecure)"

// examineFailure reads memberlist's error of a failed join. Only its own words
// are passed on: an error may quote an answer that nobody has authenticated.
func examineFailure(err error) (outcome, string) {
	text := err.Error()
	if _, cause, ok := strings.Cut(text, "failed to join "); ok {
		if _, cause, ok = strings.Cut(cause, ": "); ok {
			text = cause
		}
	}
	text = strings.TrimSpace(text)
	if why, ok := strings.CutPrefix(text, refusedMark); ok {
		why, _, _ = strings.Cut(why, "\n")
		return refused, why
	}
	if foreignKey(text) {
		return foreign, otherKey
	}
	for _, words := range []string{
		"connection refused", "no route to host", "network is unreachable", "connection reset by peer", "i/o timeout",
		"permission denied", "cannot assign requested address",
	} {
		if strings.Contains(text, words) {
			return silent, words
		}
	}
	return silent, "no usable answer"
}

// foreignKey reports whether memberlist's words mean that keys differ.
func foreignKey(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"no installed keys could decrypt", "encryption is not configured", "is not encrypted"},
		func(words string) bool { return strings.Contains(text, words) })
}

// standing is what a host that could join nobody is.
type standing struct {
	newcomer bool // was never in a mesh
	founder  bool // may found one
	holder   bool // holds a lease
	keyed    bool // its gossip is encrypted
}

// verdict is what a host does that could join nobody.
type verdict string

const (
	retry verdict = "retry" // and report the reason
	goOn  verdict = "go on" // without the others
	found verdict = "found" // a mesh, unless there is one
	stop  verdict = "stop"  // the seeds and this host do not go together
)

// judge decides what a host does when it could join nobody. An answer that
// could not be decrypted may be anybody's: it ends no host that was in a mesh.
// A remembered address may belong to somebody else by now, and never counts.
func judge(failed []attempt, s standing) verdict {
	all, certain, some := refusedBySeeds(failed)
	switch {
	case all && (s.newcomer || certain && s.keyed):
		return stop
	case s.holder, s.founder && !s.newcomer:
		return goOn
	case s.founder && !some:
		return found
	}
	return retry
}

// refusedBySeeds reports whether every seed has answered, and all its addresses
// have refused; whether all of these answers were read; and whether any seed has
// refused.
func refusedBySeeds(failed []attempt) (all, certain, some bool) {
	all, certain = true, true
	seeds := 0
	for _, a := range failed {
		if a.seed == "" {
			continue
		}
		seeds++
		all = all && a.outcome != silent
		certain = certain && a.outcome == refused
		some = some || a.outcome != silent
	}
	return all && seeds > 0, certain && seeds > 0, some
}

// reasons joins what failed into one line, without repetitions.
func reasons(failed []attempt) string {
	if len(failed) == 0 {
		return "there is no other host to join (mesh.join)"
	}
	var parts []string
	for _, a := range failed {
		if text := a.String(); !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	slices.Sort(parts)
	const most = 8
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, "; ")
}

// refusalOf is the reason for which a host stops.
func refusalOf(failed []attempt) error {
	var parts []string
	for _, a := range failed {
		if a.seed != "" && a.outcome != silent && !slices.Contains(parts, a.why) {
			parts = append(parts, a.why)
		}
	}
	return errors.New(strings.Join(parts, "; "))
}
