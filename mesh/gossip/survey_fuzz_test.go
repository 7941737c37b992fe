package gossip

import (
	"context"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// FuzzSurvey: questions, answers and signs in any order neither block the
// goroutine that owns the state nor pile up, and an answer comes to who waits for
// it at most once. Of each pair of bytes the first is what comes, the second the
// number.
func FuzzSurvey(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 1, 1, 2, 1, 3, 1, 4, 1})
	f.Add([]byte{3, 7, 3, 7, 3, 7, 0, 7, 2, 7, 2, 7, 1, 7})
	f.Fuzz(func(t *testing.T, sequence []byte) {
		s := newSurveys()
		s.row = func(context.Context) mesh.Row { return mesh.Row{} }
		waiting := map[uint64]awaited{}
		answered := map[uint64]int{}
		for i := 0; i+1 < len(sequence); i += 2 {
			number := uint64(sequence[i+1])
			switch sequence[i] % 5 {
			case 0:
				if _, twice := waiting[number]; !twice { // numbers are random
					waiting[number] = awaited{row: make(chan []byte, 1), signs: make(chan struct{}, 1)}
					s.await(number, waiting[number])
				}
			case 1:
				s.deliver(reply{Number: number, Row: []byte{1}})
			case 2:
				s.sign(number)
			case 3:
				s.queue(question{From: lease.ID{1}, Number: number}, simAddress(1))
			case 4:
				s.forget(number)
			}
		}
		for number, to := range waiting {
			for ; len(to.row) > 0; <-to.row {
				answered[number]++
			}
			s.forget(number)
		}
		for number, times := range answered {
			if times != 1 {
				t.Errorf("question %d is answered %d times", number, times)
			}
		}
		if len(s.awaited) != 0 || len(s.askers) > waitingAskers {
			t.Errorf("something is left: %d awaited, %d askers", len(s.awaited), len(s.askers))
		}
	})
}
