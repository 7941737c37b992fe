package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// order sorts components so that each comes after those that it names in After,
// and otherwise in the given order. It fails on a name that occurs twice, is
// unknown, or depends on itself.
func order[In any](components []Component[In]) ([]Component[In], error) {
	byName := make(map[string]Component[In])
	for _, c := range components {
		if byName[c.Name()] != nil {
			return nil, fmt.Errorf("order components: two are called %s", c.Name())
		}
		byName[c.Name()] = c
	}
	var sorted []Component[In]
	var path []string
	done := make(map[string]bool)
	var visit func(c Component[In]) error
	visit = func(c Component[In]) error {
		name := c.Name()
		switch {
		case done[name]:
			return nil
		case slices.Contains(path, name):
			return fmt.Errorf("order components: %s depends on itself", strings.Join(append(path, name), " after "))
		}
		path = append(path, name)
		for _, before := range c.After() {
			up := byName[before]
			if up == nil {
				return fmt.Errorf("order components: %s runs after %s, which does not exist", name, before)
			}
			if err := visit(up); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		sorted = append(sorted, c)
		return nil
	}
	for _, c := range components {
		if err := visit(c); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}
