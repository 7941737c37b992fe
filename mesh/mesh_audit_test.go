package mesh

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// surveyor answers each time with the next rows, and at last always with the
// same.
type surveyor struct {
	next  [][]Row
	asked int
}

func (s *surveyor) Survey(context.Context) (Survey, error) {
	rows := s.next[min(s.asked, len(s.next)-1)]
	s.asked++
	survey := Survey{Rows: rows}
	for _, r := range rows {
		survey.Asked = append(survey.Asked, r.ID)
	}
	return survey, nil
}

func TestAHostThatIsBusyIsAskedAgain(t *testing.T) {
	of := func(change func(*Row)) []Row {
		row := allWell(2).rows[1]
		change(&row)
		return []Row{row}
	}
	well := of(func(*Row) {})
	busy := of(func(r *Row) { r.Unseen = []string{errBusy.Error()} })
	drifts := of(func(r *Row) { r.Drift = 1 })
	for name, c := range map[string]struct {
		looks [][]Row
		query string
		kind  string // of the one finding
		asked int
		limit time.Duration
	}{
		"not busy":                       {[][]Row{well}, "", "", 1, 0},
		"busy once":                      {[][]Row{busy, well}, "", "", 2, time.Second},
		"busy at the second look":        {[][]Row{drifts, busy, busy, well}, "", "", 4, secondLook + 2*busyPause},
		"drift, and busy at either look": {[][]Row{busy, drifts, busy, drifts}, "", KindHost, 4, secondLook + 2*busyPause},
		"always busy":                    {[][]Row{busy}, "", KindBusy, 21, secondLook + busyPatience},
		"one look":                       {[][]Row{busy, well}, "?one=true", KindBusy, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := planned(testHost(2))
				s := &surveyor{next: c.looks}
				began := time.Now()
				answer := httptest.NewRecorder()
				Control{Loop: w.loop(), Survey: s}.Handler().ServeHTTP(answer,
					httptest.NewRequestWithContext(t.Context(), "GET", "/v1/mesh"+c.query, nil))
				var audit FullAudit
				if err := json.Unmarshal(answer.Body.Bytes(), &audit); err != nil {
					t.Fatalf("%s: %v", answer.Body, err)
				}
				var kinds string
				for _, f := range audit.Findings {
					kinds += f.Kind
				}
				if took := time.Since(began); kinds != c.kind || s.asked != c.asked || took > c.limit {
					t.Errorf("found %q after %d looks and %s: %+v", kinds, s.asked, took, audit.Findings)
				}
			})
		})
	}
}
