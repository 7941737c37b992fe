package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gremesh": main})
}

// TestScripts runs the binary as an operator does. Beside testscript's own
// commands there are:
//
//	exits CODE COMMAND...  run a command that must end with the code
//	answers SOCKET DIR     be an agent whose answers are the files of DIR,
//	                       named status, audit, leave and adopt
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			// A program built with -race sleeps a second before it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"answers": answers,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("ended with %s, want %s", code, args[0])
	}
}

func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers SOCKET DIR")
	}
	dir := ts.MkAbs(args[1])
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", ts.MkAbs(args[0]))
	ts.Check(err)
	server := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)))
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				body = []byte(`{"error": "there is nothing to say"}`)
			}
			_, _ = w.Write(body)
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends by Close
	}()
	ts.Defer(func() {
		_ = server.Close()
		<-done
	})
}
