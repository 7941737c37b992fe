package reconcile

import (
	"strings"
	"testing"
)

func TestComponentsAreOrderedByWhatTheyRunAfter(t *testing.T) {
	m := newMachine()
	for _, test := range []struct {
		name       string
		components []Component[wish]
		want       string // names, or a part of the error
	}{
		{"given order", []Component[wish]{newFake(m, "b"), newFake(m, "a")}, "b a"},
		{"dependencies first", []Component[wish]{newFake(m, "kernel", "ovs", "docker"), newFake(m, "docker", "guard"), newFake(m, "ovs", "guard"), newFake(m, "guard")}, "guard ovs docker kernel"},
		{"cycle", []Component[wish]{newFake(m, "a", "b"), newFake(m, "b", "a")}, "a after b after a"},
		{"unknown", []Component[wish]{newFake(m, "a", "b")}, "a runs after b, which does not exist"},
		{"twice", []Component[wish]{newFake(m, "a"), newFake(m, "a")}, "two are called a"},
	} {
		sorted, err := order(test.components)
		var names []string
		for _, c := range sorted {
			names = append(names, c.Name())
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
