package gossip

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// startAnswering is a node that answers with a row of so many cells, once
// release is closed.
func (tm *testMesh) startAnswering(i, cells int, release <-chan struct{}) *running {
	tm.t.Helper()
	node, err := New(tm.config(i))
	if err != nil {
		tm.t.Fatal(err)
	}
	node.AnswerWith(func(ctx context.Context) mesh.Row {
		select {
		case <-release:
		case <-ctx.Done():
		}
		row := mesh.Row{ID: node.ID(), Name: node.cfg.Name, Underlay: node.cfg.Underlay.Addr()}
		for c := range cells {
			row.Cells = append(row.Cells, mesh.Cell{Port: fmt.Sprintf("gre%d", c), Remote: netip.MustParseAddr("10.0.0.1"), Desired: true})
		}
		return row
	})
	return tm.run(node, node.cfg.Name)
}

func answered(survey mesh.Survey) string {
	var names []string
	for _, r := range survey.Rows {
		names = append(names, fmt.Sprintf("%s:%d", r.Name, len(r.Cells)))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func released() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// h4 is of an older version, and ignores questions.
func TestAllHostsAreAskedAndThoseWhoAnswerInTimeAreHeard(t *testing.T) {
	tm := newTestMesh(t)
	nodes := []*running{
		tm.startAnswering(1, 1, released()), tm.startAnswering(2, 0, released()), tm.startAnswering(3, 3000, released()), // not a datagram
		tm.start(tm.config(4)),
	}
	eventually(t, "4 hosts", func() bool { return whole(nodes...) })
	eventually(t, "2 of 3 answer", func() bool {
		began := time.Now()
		survey, err := nodes[0].Survey(t.Context())
		if took := time.Since(began); err != nil || took < answerTimeout {
			t.Errorf("%v after %s", err, took)
		}
		return answered(survey) == "h2:0 h3:3000" && len(survey.Asked) == 3
	})
}

func TestASurveyIsAsFastAsTheHosts(t *testing.T) {
	tm := newTestMesh(t)
	nodes := []*running{tm.startAnswering(1, 1, released()), tm.startAnswering(2, 1, released()), tm.startAnswering(3, 1, released())}
	eventually(t, "3 hosts", func() bool { return whole(nodes...) })
	eventually(t, "3 surveys at once, sooner than anyone loses patience", func() bool {
		results := make(chan string, 3)
		began := time.Now()
		for _, n := range nodes {
			go func() {
				survey, err := n.Survey(t.Context())
				results <- fmt.Sprint(len(survey.Rows), err)
			}()
		}
		whole := true
		for range nodes {
			whole = <-results == "2 <nil>" && whole
		}
		return whole && time.Since(began) < answerTimeout
	})
}

// h2 takes longer than a host that says nothing is waited for.
func TestAHostThatIsAtItIsWaitedFor(t *testing.T) {
	tm := newTestMesh(t)
	release := make(chan struct{})
	nodes := []*running{tm.startAnswering(1, 1, released()), tm.startAnswering(2, 7, release)}
	eventually(t, "2 hosts", func() bool { return whole(nodes...) })
	time.AfterFunc(answerTimeout+signEvery, func() { close(release) })
	if survey, err := nodes[0].Survey(t.Context()); err != nil || answered(survey) != "h2:7" {
		t.Errorf("%+v, %v", survey, err)
	}
}

// A host that is busy with answers goes on with its own work.
func TestQuestionsDoNotHoldAHostUp(t *testing.T) {
	tm := newTestMesh(t)
	never := make(chan struct{})
	nodes := []*running{tm.startAnswering(1, 0, released()), tm.startAnswering(2, 0, never)}
	eventually(t, "2 hosts", func() bool { return whole(nodes...) })
	for i := range 2 * waitingAskers { // more than it keeps
		nodes[0].sendReliably(nodes[1].ID(), tm.address(2), encode(nodes[0].sign(packet{Mesh: nodes[0].View().Mesh, Ask: &question{From: nodes[0].ID(), Number: uint64(i + 1)}})))
	}
	began := time.Now()
	if _, err := nodes[1].Leases(t.Context()); err != nil || time.Since(began) > 5*time.Second { // all answers take 16 s
		t.Errorf("its own question was answered after %s, %v", time.Since(began), err)
	}
	began = time.Now()
	if err := nodes[1].stop(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("it ended after %s, %v", time.Since(began), err)
	}
}

func TestASurveyEndsWithItsContext(t *testing.T) {
	tm := newTestMesh(t)
	nodes := []*running{tm.startAnswering(1, 0, released()), tm.start(tm.config(2))}
	eventually(t, "2 hosts", func() bool { return whole(nodes...) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := nodes[0].Survey(ctx); err == nil {
		t.Error("it did not end")
	}
	if survey, err := nodes[0].Survey(t.Context()); err != nil || len(survey.Asked) != 1 {
		t.Errorf("the next one: %+v, %v", survey, err)
	}
}

// An answer that nobody waits for, or in another host's name, is none.
func TestAnswersOfOthersAreNotTaken(t *testing.T) {
	s := newSurveys()
	got := make(chan []byte, 1)
	s.await(7, awaited{row: got})
	s.sign(7)
	s.deliver(reply{Number: 8, Row: []byte("no")})
	s.deliver(reply{Number: 7, Row: []byte("yes")})
	s.deliver(reply{Number: 7, Row: []byte("again")})
	if row := <-got; !bytes.Equal(row, []byte("yes")) || len(got) > 0 {
		t.Errorf("got %q", row)
	}

	tm := newTestMesh(t)
	nodes := []*running{tm.startAnswering(1, 0, released())}
	node, err := New(tm.config(2))
	if err != nil {
		t.Fatal(err)
	}
	node.AnswerWith(func(context.Context) mesh.Row { return mesh.Row{ID: nodes[0].ID(), Name: "h1"} })
	nodes = append(nodes, tm.run(node, "h2"))
	eventually(t, "2 hosts", func() bool { return whole(nodes...) })
	survey, err := nodes[0].Survey(t.Context())
	if err != nil || len(survey.Rows) > 0 {
		t.Errorf("taken: %+v, %v", survey.Rows, err)
	}
}
