package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh"
)

func TestTheOutcomeOfAMeshAudit(t *testing.T) {
	drift, unsure := mesh.Finding{Kind: mesh.KindMissing}, mesh.Finding{Kind: mesh.KindSilent, Unsure: true}
	for _, c := range []struct {
		findings []mesh.Finding
		want     int
	}{
		{nil, exit.OK},
		{[]mesh.Finding{unsure}, exit.Unknown},
		{[]mesh.Finding{unsure, drift}, exit.Drift},
	} {
		var ended exit.Error
		_ = errors.As(meshExit(mesh.FullAudit{Findings: c.findings}), &ended)
		if ended.Code != c.want {
			t.Errorf("%+v ends with %d, want %d", c.findings, ended.Code, c.want)
		}
	}
}

func TestLooksAreAppendedAndJSONIsALineEach(t *testing.T) {
	look := mesh.FullAudit{Findings: []mesh.Finding{{Kind: mesh.KindOneWay, What: "one way only: what h1 sends to h2 does not arrive, what h2 sends to h1 does"}}}
	var table, lines, stderr bytes.Buffer
	for range 2 {
		for w, out := range map[*bytes.Buffer]output{&table: asTable, &lines: asJSON} {
			if err := writeLook(w, &stderr, out, look, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text := table.String(); strings.Count(text, "== 2") != 2 || strings.Contains(text, "\x1b") || strings.Count(text, "! one way only") != 2 {
		t.Errorf("table:\n%s", text)
	}
	if n := strings.Count(lines.String(), "\n"); n != 2 || stderr.Len() > 0 {
		t.Errorf("%d lines of JSON:\n%s%s", n, lines.String(), stderr.String())
	}
	if err := writeLook(&lines, &stderr, asJSON, mesh.FullAudit{}, errors.New("no agent answers")); err != nil || !strings.Contains(stderr.String(), "no agent") {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
	if frame := overdraw("a\nb\n"); frame != "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J" {
		t.Errorf("a frame is %q", frame)
	}
}
