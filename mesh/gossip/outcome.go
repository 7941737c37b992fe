package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// outcome classifies the result of an attempt to join a host.
type outcome string

const (
	silent  outcome = "silent"  // no readable answer
	foreign outcome = "foreign" // the answer is encrypted with another key, or only one side encrypts
	refused outcome = "refused" // the answer was readable, but the two hosts are not compatible
)

// attempt is a failed attempt to join one address, or to resolve a seed.
type attempt struct {
	seed    string         // as configured; empty: a remembered address
	at      netip.AddrPort // zero: the seed has no address
	outcome outcome
	why     string // in gremesh's own words, or in the words of an authenticated host
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

// examineFailure classifies memberlist's error from a failed join. It returns
// only known phrases and the text of a refusal. The rest of the error may quote
// an answer that is not authenticated.
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

// foreignKey reports whether memberlist's error text means that the keys
// differ.
func foreignKey(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"no installed keys could decrypt", "encryption is not configured", "is not encrypted"},
		func(words string) bool { return strings.Contains(text, words) })
}

// standing describes a host that could join no other host.
type standing struct {
	newcomer bool // was never in a mesh
	founder  bool // may create a mesh
	holder   bool // holds a lease
	keyed    bool // its gossip is encrypted
}

// verdict is the next action of a host that could join no other host.
type verdict string

const (
	retry verdict = "retry" // try again and report the reason
	goOn  verdict = "go on" // continue without the other hosts
	found verdict = "found" // create a mesh, unless one exists
	stop  verdict = "stop"  // the seeds and this host are not compatible
)

// nextStep returns the next action of a host that could join no other host.
//
// Any program can send an answer that cannot be decrypted. Such an answer
// therefore never stops a host that was in a mesh. A remembered address may
// belong to another machine by now, so its answers never stop a host.
func nextStep(failed []attempt, s standing) verdict {
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

// refusedBySeeds returns three results about the seeds. all is true if every
// seed answered and all its addresses refused. certain is true if all these
// answers were readable. some is true if at least one address refused. all and
// certain are false if there is no seed.
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

// reasons joins the failures into one line. It drops duplicates and lists at
// most eight.
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

// refusalFor returns the error with which a host stops: the reasons of all seeds
// that refused.
func refusalFor(failed []attempt) error {
	var parts []string
	for _, a := range failed {
		if a.seed != "" && a.outcome != silent && !slices.Contains(parts, a.why) {
			parts = append(parts, a.why)
		}
	}
	return errors.New(strings.Join(parts, "; "))
}
