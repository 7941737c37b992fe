package main

import (
	"net/http"
	"net/http/pprof"
)

// profiled answers for the profiles of net/http/pprof beside what next does. It
// is for the control socket, which only root reaches.
func profiled(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.Handle("/", next)
	return mux
}
