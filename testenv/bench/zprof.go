package bench

import (
	"os"
	"runtime/pprof"
	"strings"
)

func prof(what string) func() {
	d := os.Getenv("BENCH_PROFILE")
	if d == "" {
		return func() {}
	}
	f, _ := os.Create(d + "/" + strings.ReplaceAll(what, " ", "_") + ".prof")
	_ = pprof.StartCPUProfile(f)
	return func() {
		pprof.StopCPUProfile()
		f.Close()
		h, _ := os.Create(d + "/" + strings.ReplaceAll(what, " ", "_") + ".heap")
		_ = pprof.Lookup("allocs").WriteTo(h, 0)
		h.Close()
	}
}
