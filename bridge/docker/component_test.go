package docker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

var wanted = Settings{Bip: netip.MustParsePrefix("172.17.43.1/24"), MTU: 1458}

// inOrder is a dockerd that uses the bip that daemon.json has.
func inOrder() Observation {
	return Observation{State: State{Bip: "172.17.43.1/24", MTU: 1458, Running: true, Network: wanted.Bip}, Restart: Restart{Ran: true}}
}

func TestDockerIsRestartedOnlyIfThatIsNeededAndHelps(t *testing.T) {
	trouble := &Trouble{"something is in the way", "remove it"}
	stale := func(change func(*Observation)) func(*Observation) {
		return func(s *Observation) {
			s.NeedsRestart = true
			change(s)
		}
	}
	for name, test := range map[string]struct {
		change  func(*Observation)
		hold    string
		without bool   // Open vSwitch does not answer
		changes string // objects
		pending string
		code    string
	}{
		"in order":              {change: func(*Observation) {}},
		"another bip":           {change: func(s *Observation) { s.Bip = "172.17.0.1/16" }, changes: "daemon.json bip"},
		"dockerd is stale":      {change: stale(func(*Observation) {}), changes: "dockerd"},
		"both":                  {change: stale(func(s *Observation) { s.Bip = "" }), changes: "daemon.json bip"},
		"another MTU, too":      {change: stale(func(s *Observation) { s.MTU = 1500 }), changes: "daemon.json mtu"},
		"only the file differs": {change: stale(func(s *Observation) { s.Bip, s.Network = "172.17.99.1/24", wanted.Bip }), changes: "daemon.json bip"},
		"paths are measured":    {change: stale(func(*Observation) {}), hold: "paths", pending: "paths"},
		"a restart runs":        {change: stale(func(s *Observation) { s.Restart.Since = time.Now() }), pending: "is being restarted"},
		"it would be futile":    {change: stale(func(s *Observation) { s.Futile = trouble }), pending: "keeps", code: "GM-DOCKER-FUTILE"},
		"the pause has not run": {change: stale(func(s *Observation) { s.Restart.Wait = time.Minute }), pending: "keeps", code: "GM-DOCKER-STALE"},
		"a person restarts it":  {change: stale(func(s *Observation) { s.Restart.Never = true }), pending: "keeps", code: "GM-DOCKER-STALE"},
		"it did not help":       {change: stale(func(s *Observation) { s.Restart.Never, s.Restart.Err = true, errFutile }), pending: "keeps", code: "GM-DOCKER-STALE"},
		"dockerd starts":        {change: func(s *Observation) { s.Starting = true }, pending: "is starting"},
		"dockerd is silent":     {change: func(s *Observation) { s.Starting, s.Silent = true, trouble }, pending: "is starting", code: "GM-DOCKER-SILENT"},
		"at boot":               {change: func(s *Observation) { s.Running, s.Restart.Ran = false, false }},
		"dockerd has ended":     {change: func(s *Observation) { s.Running = false }, code: "GM-DOCKER-DOWN"},
		"a restart has failed":  {change: func(s *Observation) { s.Running, s.Restart.Err = false, errors.New("exit status 1") }, code: "GM-DOCKER-DOWN"},
		"rootless":              {change: func(s *Observation) { s.Unsupported, s.Bip = trouble, "" }, pending: "unchanged", code: "GM-DOCKER-UNSUPPORTED"},
		"another file":          {change: func(s *Observation) { s.Misread, s.Bip = trouble, "" }, pending: "unchanged", code: "GM-DOCKER-FILE"},
		"no Open vSwitch":       {change: func(s *Observation) { s.Bip = "" }, without: true, pending: "until Open vSwitch", code: "GM-DOCKER-NO-OVS"},
		"it dies later":         {change: func(*Observation) {}, without: true},
		"an older MTU":          {change: func(s *Observation) { s.RunningMTU = 1500 }, code: "GM-DOCKER-MTU"},
		"the record is lost":    {change: func(s *Observation) { s.Lost = trouble }, code: "GM-DOCKER-ORIGINAL"},
	} {
		t.Run(name, func(t *testing.T) {
			have := inOrder()
			test.change(&have)
			p := planFor(wanted, have, test.hold, !test.without)
			var keys []string
			for _, c := range p.Changes {
				keys = append(keys, c.Key.String())
			}
			if got := strings.Join(keys, "; "); got != test.changes {
				t.Errorf("the changes are %q, want %q", got, test.changes)
			}
			if (p.Pending == "") != (test.pending == "") || !strings.Contains(p.Pending, test.pending) {
				t.Errorf("pending is %q, want %q", p.Pending, test.pending)
			}
			code := ""
			if len(p.Problems) > 0 {
				code = p.Problems[0].Code
			}
			if code != test.code || len(p.Problems) > 1 {
				t.Errorf("the problems are %+v, want %q", p.Problems, test.code)
			}
		})
	}
}

func TestARestartWaitsForDaemonJSON(t *testing.T) {
	have := inOrder()
	have.NeedsRestart, have.Bip = true, ""
	changes := planFor(wanted, have, "", true).Changes
	if len(changes) != 1 || changes[0].Key != keyOf("bip") {
		t.Errorf("first: %+v", changes)
	}
	have.Bip = wanted.Bip.String()
	changes = planFor(wanted, have, "", true).Changes
	if len(changes) != 1 || changes[0].Key != daemonKey {
		t.Errorf("then: %+v", changes)
	}
}

func TestRestorePutsTheFileBackBeforeItRestartsDocker(t *testing.T) {
	c := &Component[Settings]{}
	have := inOrder()
	have.Former, have.Written = &Values{}, Values{Bip: have.Bip, MTU: have.MTU}
	p := c.Restore(reconcile.Request[Settings]{}, nil, have)
	if len(p.Changes) != 2 || p.Changes[0].Key.Kind != "daemon.json" {
		t.Fatalf("first: %+v", p.Changes)
	}
	have.Bip, have.MTU, have.NeedsRestart = "", 0, true // as it is then
	p = c.Restore(reconcile.Request[Settings]{}, nil, have)
	if len(p.Changes) != 1 || p.Changes[0].Key != daemonKey || !p.Changes[0].Op.(restartFor).wait {
		t.Errorf("then: %+v", p.Changes)
	}
	have.Futile = &Trouble{"containers run, and live-restore is on", "stop them"}
	if p = c.Restore(reconcile.Request[Settings]{}, nil, have); len(p.Changes) > 0 || p.Pending == "" || len(p.Problems) != 1 {
		t.Errorf("with live-restore: %+v", p)
	}
	have.Futile, have.NeedsRestart = nil, false
	if p = c.Restore(reconcile.Request[Settings]{}, nil, have); len(p.Changes) > 0 || p.Pending != "" {
		t.Errorf("in the end: %+v", p)
	}
}

type memoryMark struct{ set bool }

func (m *memoryMark) IsSet() (bool, error) { return m.set, nil }
func (m *memoryMark) Set() error           { m.set = true; return nil }

func TestOneRestartAtATimeAndPausesBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		r := NewRestarter(func(context.Context) error {
			runs++
			time.Sleep(10 * time.Second)
			return errors.New("exit status 1")
		}, &memoryMark{})
		have := State{Bip: "172.17.43.1/24", Running: true, NeedsRestart: true}
		r.begin(t.Context(), have.Bip)
		r.begin(t.Context(), have.Bip)
		if state, _ := r.note(have); state.Since.IsZero() {
			t.Error("no restart is under way")
		}
		if err := r.Wait(t.Context()); err != nil || runs != 1 {
			t.Errorf("%d restarts, %v", runs, err)
		}
		state, _ := r.note(have)
		if state.Err == nil || state.Wait != firstPause || !state.Since.IsZero() {
			t.Errorf("after a failure: %+v", state)
		}
		time.Sleep(firstPause)
		if state, _ := r.note(have); state.Wait != 0 {
			t.Errorf("after the pause: %+v", state)
		}
		r.begin(t.Context(), have.Bip)
		_ = r.Wait(t.Context())
		if state, _ := r.note(have); state.Wait != 2*firstPause {
			t.Errorf("after a second failure: %+v", state)
		}
		have.Bip = "172.17.44.1/24" // another subnet waits for nothing
		if state, _ := r.note(have); state.Wait != 0 {
			t.Errorf("for another bip: %+v", state)
		}
		have.NeedsRestart = false
		if state, _ := r.note(have); state.Err != nil {
			t.Errorf("once dockerd has the bip: %+v", state)
		}
	})
}

func TestAFutileRestartIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRestarter(func(context.Context) error { return nil }, &memoryMark{})
		have := State{Bip: "172.17.43.1/24", Running: true, NeedsRestart: true}
		r.begin(t.Context(), have.Bip)
		_ = r.Wait(t.Context())
		time.Sleep(time.Hour)
		if state, _ := r.note(have); !state.Never || !errors.Is(state.Err, errFutile) {
			t.Errorf("after a restart that did not help: %+v", state)
		}
		r.renew()
		if state, _ := r.note(have); state.Never {
			t.Errorf("after daemon.json was written again: %+v", state)
		}
	})
}

func TestARestartOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		r := NewRestarter(func(ctx context.Context) error {
			time.Sleep(time.Second)
			ended = ctx.Err()
			return ended
		}, &memoryMark{})
		ctx, cancel := context.WithCancel(t.Context())
		r.begin(ctx, "172.17.43.1/24")
		cancel()
		if err := r.Wait(t.Context()); err != nil || ended != nil {
			t.Errorf("Docker was stopped and not started: %v, %v", err, ended)
		}
		waiting, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		r.begin(t.Context(), "172.17.43.1/24")
		if err := r.Wait(waiting); err == nil {
			t.Error("Wait returned before the restart ended")
		}
		_ = r.Wait(t.Context())
	})
}

func TestARestartWaitsAfterTheReasonAgainstItHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRestarter(nil, &memoryMark{})
		have := State{Bip: "172.17.43.1/24", Running: true, NeedsRestart: true, Futile: &Trouble{}}
		_, _ = r.note(have)
		have.Futile = nil
		if state, _ := r.note(have); state.Wait != settleTime {
			t.Errorf("it waits for %s", state.Wait)
		}
	})
}

func TestADockerdThatRanInThisBootIsRemembered(t *testing.T) {
	mark := &memoryMark{}
	if state, _ := NewRestarter(nil, mark).note(State{}); state.Ran {
		t.Error("none has run")
	}
	_, _ = NewRestarter(nil, mark).note(State{Running: true})
	if state, _ := NewRestarter(nil, mark).note(State{}); !state.Ran {
		t.Error("another agent does not know that one has run")
	}
}

var (
	_ reconcile.Restorer[Settings] = (*Component[Settings])(nil)
	_ reconcile.Timed              = (*Component[Settings])(nil)
)

var _ reconcile.Component[Settings] = (*Component[Settings])(nil)

func TestADockerdOfAnotherMTUIsToldOfAndNotRestarted(t *testing.T) {
	for started, want := range map[int]string{0: "", 1362: "", 1462: "fragmentation needed", 1300: "no packets are lost"} {
		found := olderMTU(Settings{MTU: 1362}, State{RunningMTU: started})
		if len(found) != min(len(want), 1) || len(found) == 1 && !strings.Contains(found[0].Summary, want) {
			t.Errorf("dockerd has %d: %+v", started, found)
		}
	}
}
