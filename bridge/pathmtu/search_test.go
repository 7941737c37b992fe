package pathmtu

import (
	"errors"
	"testing"
)

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name  string
		full  int
		limit int  // what passes; 0: nothing does
		told  bool // by a router
		lost  map[int]bool
		mtu   int
		known bool
		most  int // questions
		err   error
	}{
		{name: "all passes", full: 1500, limit: 1500, mtu: 1500, known: true, most: 1},
		{name: "jumbo", full: 9000, limit: 9000, mtu: 9000, known: true, most: 1},
		{name: "a router says so", full: 1500, limit: 1400, told: true, mtu: 1400, known: true, most: 2},
		{name: "a router says so of a jumbo", full: 9000, limit: 1500, told: true, mtu: 1500, known: true, most: 2},
		{name: "nobody says so", full: 1500, limit: 1400, mtu: 1400, known: true, most: 3 + 1 + 10*3 + 4},
		{name: "a byte", full: 1500, limit: 1499, mtu: 1499, known: true, most: 3 + 1 + 10*3 + 4},
		{name: "a jumbo that is none", full: 9000, limit: 1500, mtu: 1500, known: true, most: 3 + 1 + 14*3 + 4},
		{name: "the smallest", full: 1500, limit: 576, mtu: 576, known: true, most: 3 + 1 + 10*3 + 4},
		{name: "less than the smallest", full: 1500, limit: 500, mtu: 1500, most: 3 + 3},
		{name: "less than the smallest, which is said", full: 1500, limit: 500, told: true, mtu: 1500, most: 4},
		{name: "ICMP filtered", full: 1500, mtu: 1500, most: 6},
		{name: "two packets are lost", full: 1500, limit: 1500, lost: map[int]bool{1: true, 2: true}, mtu: 1500, known: true, most: 3},
		{name: "a burst is lost", full: 1500, limit: 1500, lost: map[int]bool{1: true, 2: true, 3: true}, err: errUnsteady, most: 40},
		{name: "a device of less", full: 500, limit: 1500, mtu: 500, known: true, most: 1},
	} {
		asked := 0
		mtu, known, err := search(c.full, smallest4, func(size int) (Answer, error) {
			asked++
			if size <= c.limit && !c.lost[asked] {
				return Answer{Passed: true}, nil
			}
			if c.told {
				return Answer{Limit: c.limit}, nil
			}
			return Answer{}, nil
		})
		if !errors.Is(err, c.err) || c.err == nil && (mtu != c.mtu || known != c.known) || asked > c.most {
			t.Errorf("%s: %d %t %v after %d questions, want %d %t %v after %d", c.name, mtu, known, err, asked, c.mtu, c.known, c.err, c.most)
		}
	}
}

func TestAPeerThatFallsSilentIsNoLimit(t *testing.T) {
	asked := 0
	_, _, err := search(1500, smallest4, func(size int) (Answer, error) {
		asked++
		return Answer{Passed: asked < 8 && size <= 1400}, nil
	})
	if !errors.Is(err, errUnsteady) {
		t.Errorf("error is %v", err)
	}
}

func TestWhatIsHigherMustBeFoundTwice(t *testing.T) {
	eth0, eth1 := Route{Link: "eth0", MTU: 1500}, Route{Link: "eth1", MTU: 9000}
	var m memory
	for i, c := range []struct {
		found   Path
		mtu     int
		confirm bool
	}{
		{Path{eth0, 1500, false}, 1500, false}, // it does not answer
		{Path{eth0, 1400, true}, 1400, false},
		{Path{eth0, 1500, true}, 1400, true},
		{Path{eth0, 1400, true}, 1400, false}, // it was not so
		{Path{eth0, 1500, true}, 1400, true},
		{Path{eth0, 1450, true}, 1450, false},  // confirmed, but for some
		{Path{eth0, 1500, false}, 1450, false}, // silent: what was known stays
		{Path{eth0, 1300, true}, 1300, false},
		{Path{eth1, 9000, true}, 9000, false}, // another way is another story
	} {
		if confirm := m.update(c.found); confirm != c.confirm || m.path.MTU != c.mtu {
			t.Errorf("%d: %+v makes %+v, confirm %t", i, c.found, m.path, confirm)
		}
	}
}
