package probe

import (
	"strings"
	"testing"
	"time"
)

// play sends a probe a second. Each letter is what becomes of one: "." it is
// answered, "x" it is lost, "-" it is lost if it is padded, else answered.
func play(fates string) (t *track, padded string) {
	t = &track{}
	now := time.Unix(1000, 0)
	for _, fate := range fates {
		full := t.begin(now)
		if full {
			padded += "F"
		} else {
			padded += "s"
		}
		now = now.Add(time.Second)
		if fate == 'x' || fate == '-' && full {
			t.expire(now)
			continue
		}
		t.hear(now, onPort, time.Millisecond)
		t.hear(now, onBridge, 2*time.Millisecond)
	}
	return t, padded
}

func TestAPathIsDownAfterThreeLosses(t *testing.T) {
	for _, c := range []struct {
		fates string
		state State
		full  State
		since int // seconds after the start; 0: never
		loss  float64
		lost  uint64
	}{
		{"", Unknown, Unknown, 0, 0, 0},
		{"x", Unknown, Unknown, 0, 1, 1},
		{"xx", Unknown, Unknown, 0, 1, 2},
		{"xxx", Down, Unknown, 3, 1, 3},
		{".", Up, Unknown, 1, 0, 0},
		{"..", Up, Up, 1, 0, 0},
		{"..xx", Up, Up, 1, 0.5, 2},
		{"..xx.", Up, Up, 1, 0.4, 2},
		{"..xx.xx.xx", Up, Up, 1, 0.6, 6},
		{".xxx", Down, Unknown, 4, 0.75, 3},
		{".xxxxx", Down, Unknown, 4, 5. / 6, 5},
		{".xxx.", Up, Unknown, 5, 0.6, 3},
		{strings.Repeat("x", 30), Down, Unknown, 3, 1, 30},
		{strings.Repeat("x", 30) + strings.Repeat(".", 19), Up, Up, 31, 0.05, 30},
		{strings.Repeat("x", 30) + strings.Repeat(".", 20), Up, Up, 31, 0, 30},
		// Frames of the full size are lost: found by the fifth of them at the latest.
		{"------", Up, Unknown, 1, 0.5, 3},
		{"-------", Up, Down, 1, 3. / 7, 3},
		{"-------....", Up, Down, 1, 3. / 11, 3},
		{"-------.....", Up, Up, 1, 0.25, 3},
	} {
		track, _ := play(c.fates)
		is := track.report()
		since := 0
		if !is.Since.IsZero() {
			since = int(is.Since.Sub(time.Unix(1000, 0)).Seconds())
		}
		if is.State != c.state || is.Full != c.full || since != c.since || is.Loss != c.loss || is.Lost != c.lost || is.Sent != uint64(len(c.fates)) {
			t.Errorf("%q: %s since %d s, full size %s, loss %v, %d of %d lost; want %+v", c.fates, is.State, since, is.Full, is.Loss, is.Lost, is.Sent, c)
		}
	}
}

func TestEveryTenthProbeIsPadded(t *testing.T) {
	if _, padded := play(strings.Repeat(".", 30)); padded != strings.Repeat("sFssssssss", 3) {
		t.Error(padded)
	}
	// One that is lost is repeated, with a small one between, until it is certain.
	if _, padded := play("-------" + strings.Repeat(".", 9)); padded != "sFsFsFsssssFssss" {
		t.Error(padded)
	}
	// Without answers to small ones the size says nothing.
	if track, padded := play(strings.Repeat("x", 15)); padded != "sFsssssssssFsss" || track.path.Full != Unknown {
		t.Error(padded, track.path.Full)
	}
}

func TestAnAnswerCountsWhenItWasSeenTwice(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, where := range []sighting{onPort, onBridge} {
		track := track{}
		for range 3 {
			track.begin(now)
			track.hear(now, where, 1)
			track.hear(now, where, 1)
		}
		if track.path.State != Unknown {
			t.Errorf("seen at %d alone: %s", where, track.path.State)
		}
		track.expire(now)
		if track.path.State != Down {
			t.Errorf("seen at %d alone: %s", where, track.path.State)
		}
		track.hear(now, everywhere, 1) // no probe is under way
		if track.path.State != Down {
			t.Errorf("an answer to no question: %s", track.path.State)
		}
	}
}

func TestTheRoundTripIsTheMedian(t *testing.T) {
	track := track{}
	now := time.Unix(1000, 0)
	for _, ms := range []int{1, 200, 2, 0, 3} { // 0: it was not measured
		track.begin(now)
		track.hear(now, everywhere, time.Duration(ms)*time.Millisecond)
	}
	if rtt := track.report().RoundTrip; rtt != 3*time.Millisecond {
		t.Error(rtt)
	}
	for range 3 {
		track.begin(now)
		track.expire(now)
	}
	if rtt := track.report().RoundTrip; rtt != 0 {
		t.Errorf("of a path that is down: %s", rtt)
	}
}
