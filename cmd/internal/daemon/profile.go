package daemon

import (
	"net/http"
	"net/http/pprof"
)

// profiled returns a handler that serves the profiles of net/http/pprof and
// passes all other requests to next. Use it only on the control socket, which
// only root can reach.
func profiled(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.Handle("/", next)
	return mux
}
