package events

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// step is a snapshot at a number of seconds after the start, and the events
// that are expected then, as "kind peer after" or "kind text after".
type step struct {
	at       float64
	peers    []Peer
	problems []string
	want     []string
}

func alive(name string, tunnel State) Peer {
	return Peer{ID: "id-" + name, Name: name, Liveness: Alive, Tunnel: tunnel}
}

func failed(name string, tunnel State) Peer {
	return Peer{ID: "id-" + name, Name: name, Liveness: Failed, Tunnel: tunnel}
}

func left(name string) Peer { return Peer{ID: "id-" + name, Name: name, Liveness: Left} }

func peers(p ...Peer) []Peer { return p }

func told(events []Event) []string {
	var all []string
	for _, e := range events {
		text := string(e.Kind) + " " + e.Peer + e.Text
		if e.After > 0 {
			text += " " + Round(e.After).String()
		}
		if e.Times > 0 {
			text += fmt.Sprintf(" ×%d %s", e.Times, e.Is)
		}
		all = append(all, text)
	}
	return all
}

func TestEvents(t *testing.T) {
	up := peers(alive("h2", Up), alive("h3", Up))
	for name, steps := range map[string][]step{
		"a restart on a host in order is silent": {
			{at: 0, peers: peers(failed("h2", Up), failed("h3", Down))},
			{at: 0.2, peers: peers(alive("h2", Up), alive("h3", Down))},
			{at: 1, peers: up},
			{at: 60, peers: up},
		},
		"a peer that had left before a restart returns": {
			{at: 0, peers: peers(left("h2"))},
			{at: 60, peers: peers(left("h2"))},
			{at: 100, peers: peers(alive("h2", Unknown)), want: []string{"peer-returned h2 1m40s"}},
		},
		"a peer that is still silent after a restart has failed": {
			{at: 0, peers: peers(failed("h2", Up))},
			{at: 14, peers: peers(failed("h2", Up))},
			{at: 16, peers: peers(failed("h2", Up)), want: []string{"peer-failed h2"}},
			{at: 46, peers: peers(failed("h2", Up))},
			{at: 76, peers: peers(alive("h2", Up)), want: []string{"peer-returned h2 1m16s"}},
		},
		"a newcomer joins and its tunnel comes up": {
			{at: 0, peers: peers(alive("h2", Up))},
			{at: 100, peers: peers(alive("h2", Up), alive("h3", Unknown)), want: []string{"peer-joined h3"}},
			{at: 100.2, peers: peers(alive("h2", Up), alive("h3", Down))},
			{at: 100.5, peers: up, want: []string{"tunnel-up h3"}},
		},
		"a newcomer whose tunnel stays down": {
			{at: 0},
			{at: 100, peers: peers(alive("h2", Down)), want: []string{"peer-joined h2"}},
			{at: 114, peers: peers(alive("h2", Down))},
			{at: 116, peers: peers(alive("h2", Down)), want: []string{"tunnel-down h2"}},
			{at: 146, peers: peers(alive("h2", Up)), want: []string{"tunnel-up h2 46s"}},
		},
		"an outage has its duration at both ends": {
			{at: 0, peers: up},
			{at: 100, peers: peers(alive("h2", Down), alive("h3", Up)), want: []string{"tunnel-down h2 1m40s"}},
			{at: 116, peers: up, want: []string{"tunnel-up h2 16s"}},
			{at: 117, peers: up},
		},
		"an unknown state is no event and the last one stands": {
			{at: 0, peers: up},
			{at: 50, peers: peers(alive("h2", Unknown), alive("h3", Unknown))},
			{at: 60, peers: peers(alive("h2", Down), alive("h3", Up)), want: []string{"tunnel-down h2 1m0s"}},
		},
		"an agent fails and returns": {
			{at: 0, peers: up},
			{at: 20, peers: peers(failed("h2", Up), alive("h3", Up)), want: []string{"peer-failed h2 20s"}},
			{at: 32, peers: up, want: []string{"peer-returned h2 12s"}},
		},
		"a host leaves, returns and is forgotten": {
			{at: 0, peers: up},
			{at: 20, peers: peers(left("h2"), alive("h3", Up)), want: []string{"peer-left h2 20s"}},
			{at: 30, peers: peers(alive("h2", Down), alive("h3", Up)), want: []string{"peer-returned h2 10s"}},
			{at: 31, peers: up, want: []string{"tunnel-up h2"}},
			{at: 40, peers: peers(failed("h2", Up), alive("h3", Up)), want: []string{"peer-failed h2 10s"}},
			{at: 50, peers: peers(alive("h3", Up)), want: []string{"peer-removed h2"}},
		},
		"a host that left is removed in silence": {
			{at: 0, peers: up},
			{at: 20, peers: peers(left("h2"), alive("h3", Up)), want: []string{"peer-left h2 20s"}},
			{at: 21, peers: peers(alive("h3", Up))},
		},
		"problems appear and are cleared": {
			{at: 0, problems: []string{"b is wrong"}},
			{at: 1, problems: []string{"b is wrong"}, want: []string{"problem b is wrong"}},
			{at: 2, problems: []string{"a is wrong", "b is wrong"}},
			{at: 4, problems: []string{"a is wrong", "b is wrong"}, want: []string{"problem a is wrong"}},
			{at: 72, want: []string{"problem-cleared a is wrong 1m10s", "problem-cleared b is wrong 1m12s"}},
		},
		"a problem of an instant is no event": {
			{at: 0},
			{at: 10, problems: []string{"a is wrong"}},
			{at: 10.1},
			{at: 20, problems: []string{"a is wrong"}},
			{at: 20.9, problems: []string{"a is wrong"}},
			{at: 21, problems: []string{"a is wrong"}, want: []string{"problem a is wrong"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			tracker := NewTracker()
			for _, s := range steps {
				now := began.Add(time.Duration(s.at * float64(time.Second)))
				if diff := cmp.Diff(s.want, told(tracker.Next(now, s.peers, s.problems))); diff != "" {
					t.Errorf("after %g s (-want +got):\n%s", s.at, diff)
				}
				if again := tracker.Next(now, s.peers, s.problems); len(again) > 0 {
					t.Errorf("after %g s, the same snapshot again: %q, want nothing", s.at, told(again))
				}
				if again := tracker.SameAgain(now, s.problems); len(again) > 0 {
					t.Errorf("after %g s, said to be the same: %q, want nothing", s.at, told(again))
				}
			}
		})
	}
}

// The passes of a quiet host say that nothing has changed; what is still down
// when the time to settle is over must be reported all the same.
func TestTimeToSettleEndsWithoutAChange(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tracker := NewTracker()
	tracker.Next(began, peers(failed("h2", Up), alive("h3", Down)), nil)
	if due, want := tracker.Due(), began.Add(settling); !due.Equal(want) {
		t.Errorf("due at %s, want %s", due, want)
	}
	got := told(tracker.SameAgain(began.Add(settling), nil))
	if want := []string{"peer-failed h2", "tunnel-down h3"}; !cmp.Equal(got, want) {
		t.Errorf("after the time to settle: %q, want %q", got, want)
	}
	if got := tracker.SameAgain(began.Add(2*settling), nil); len(got) > 0 {
		t.Errorf("and again: %q", told(got))
	}
	if due := tracker.Due(); !due.IsZero() {
		t.Errorf("due at %s, want never", due)
	}
}

func TestFlappingIsSummarized(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tracker := NewTracker()
	tracker.Next(now, peers(alive("h2", Up), alive("h3", Up)), nil)
	var reported []string
	const changes = 100
	for i := range changes {
		now = now.Add(4 * time.Second)
		state := Up
		if i%2 == 0 {
			state = Down
		}
		reported = append(reported, told(tracker.Next(now, peers(alive("h2", state), alive("h3", Up)), nil))...)
	}
	if len(reported) != flapLimit {
		t.Errorf("%d changes were reported as %d events, want %d:\n%s", changes, len(reported), flapLimit, strings.Join(reported, "\n"))
	}
	// Another object is reported while this one flaps.
	now = now.Add(time.Second)
	if got := told(tracker.Next(now, peers(alive("h2", Up), alive("h3", Down)), nil)); len(got) != 1 {
		t.Errorf("the tunnel to h3 went down: %q, want one event", got)
	}
	now = now.Add(flapWindow)
	got := told(tracker.Next(now, peers(alive("h2", Up), alive("h3", Down)), nil))
	if want := []string{"flapping tunnel to h2 6m36s ×100 up"}; !cmp.Equal(got, want) {
		t.Errorf("when it is stable: %q, want %q", got, want)
	}
	now = now.Add(time.Second)
	if got := told(tracker.Next(now, peers(alive("h2", Down), alive("h3", Down)), nil)); len(got) != 1 {
		t.Errorf("the next outage: %q, want one event", got)
	}
}

func TestSinceIsKeptWhileAProblemLasts(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tracker := NewTracker()
	tracker.Next(began, nil, []string{"a"})
	tracker.Next(began.Add(time.Hour), nil, []string{"a", "b"})
	want := map[string]time.Time{"a": began, "b": began.Add(time.Hour)}
	if got := tracker.Since(); !cmp.Equal(got, want) {
		t.Errorf("since %v, want %v", got, want)
	}
	tracker.Next(began.Add(2*time.Hour), nil, []string{"b"})
	tracker.Next(began.Add(3*time.Hour), nil, []string{"a", "b"})
	if got := tracker.Since()["a"]; !got.Equal(began.Add(3 * time.Hour)) {
		t.Errorf("a problem that came back is there since %s", got)
	}
}

func BenchmarkNothingChanged(b *testing.B) {
	var all []Peer
	for i := range 5000 {
		all = append(all, alive(fmt.Sprint("h", i), Up))
	}
	tracker := NewTracker()
	now := time.Now()
	tracker.Next(now, all, nil)
	b.ReportAllocs()
	for b.Loop() {
		tracker.SameAgain(now, nil)
	}
}
