package reconcile

import (
	"slices"
	"testing"
	"time"
)

type explainer struct{ *fake }

func (x *explainer) Explain(prev, cur Snapshot[wish], c Change) (string, bool) {
	if c.Key.Name != "x" || prev.State.(map[string]string)["bridge"] == cur.State.(map[string]string)["bridge"] {
		return "", false
	}
	return "the bridge was deleted", true
}

func TestEveryChangeHasACause(t *testing.T) {
	m := newMachine()
	a := newFake(m, "a")
	src := newSource(wish{"a": {"x": "1", "bridge": "br0"}})
	opts := options(t, m, src, &explainer{a})
	var journal []Entry
	opts.Journal = func(entries []Entry) { journal = append(journal, entries...) }
	opts.Explain = func(prev *Snapshot[wish], cur Snapshot[wish], c Change) string {
		if prev != nil && (*prev.Desired)["a"][c.Key.Name] != (*cur.Desired)["a"][c.Key.Name] {
			return "h2 joined"
		}
		return ""
	}
	restarted := ""
	opts.Restarted = func(string, time.Time) string { return restarted }
	e := newEngine(t, opts)
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() {}, []string{"bridge: the agent was started", "x: the agent was started"}},
		{func() { src.set(&wish{"a": {"x": "2", "bridge": "br0"}}) }, []string{"x: h2 joined"}},
		{func() { m.set("a", "x", "3") }, []string{"x: changed by another program"}},
		{func() { m.set("a", "x", ""); m.set("a", "bridge", "") }, []string{"bridge: changed by another program", "x: the bridge was deleted"}},
		{func() { m.set("a", "x", ""); m.set("a", "bridge", ""); restarted = "dockerd" }, []string{"bridge: dockerd was restarted", "x: dockerd was restarted: the bridge was deleted"}},
	} {
		journal = nil
		step.do()
		a.notify(e)
		e.Reconcile(t.Context())
		var got []string
		for _, entry := range journal {
			got = append(got, entry.Change.Key.Name+": "+entry.Cause)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("the causes are %q, want %q", got, step.want)
		}
	}
}
