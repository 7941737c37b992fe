package daemon

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreBesideTheControl(t *testing.T) {
	control := profiled(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for path, want := range map[string]int{
		"/debug/pprof/":                  http.StatusOK,
		"/debug/pprof/heap":              http.StatusOK,
		"/debug/pprof/goroutine?debug=1": http.StatusOK,
		"/status":                        http.StatusTeapot,
		"/":                              http.StatusTeapot,
	} {
		answer := httptest.NewRecorder()
		control.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}
