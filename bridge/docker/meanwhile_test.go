package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What an operator saves while Apply is under way must not be lost, whether it
// comes before or after.
func TestWhatAnotherProgramWritesMeanwhileStays(t *testing.T) {
	for i := range 60 {
		d := daemon(t)
		put(t, d.cfg.Path, "{}")
		changes := plan(t, d, want)
		fresh := d.cfg.Path + ".editor"
		put(t, fresh, `{"debug": true}`)
		done := make(chan error, 1)
		go func() { done <- d.Apply(t.Context(), changes) }()
		time.Sleep(time.Duration(i) * 150 * time.Microsecond) // another instant each time
		if err := os.Rename(fresh, d.cfg.Path); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if err != nil && !errors.Is(err, errMeanwhile) {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(d.cfg.Path), ".daemon.json*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if got := content(t, d.cfg.Path); !strings.Contains(got, "debug") {
			t.Fatalf("after %d µs it is lost; Apply: %v", i*150, err)
		}
	}
}

// As `cat > daemon.json` does while somebody types: it is empty from the start on.
func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, "{}")
	f, err := os.Create(d.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(t.Context(), plan(t, d, want)); !errors.Is(err, errMeanwhile) {
		t.Errorf("Apply: %v", err)
	}
	_, err = f.WriteString(`{"debug": true}`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, d.cfg.Path); got != `{"debug": true}` {
		t.Errorf("the file has %s", got)
	}
	reach(t, d, want)
	if got := content(t, d.cfg.Path); !strings.Contains(got, "debug") {
		t.Errorf("the file has %s", got)
	}
}

func TestAFileThatIsBeingWrittenIsNotRemoved(t *testing.T) {
	d := daemon(t)
	reach(t, d, want) // there was none
	changes := plan(t, d, Settings{Former: true})
	f, err := os.OpenFile(d.cfg.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(t.Context(), changes); !errors.Is(err, errMeanwhile) {
		t.Errorf("Apply: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	reach(t, d, Settings{Former: true})
	if _, err := os.Stat(d.cfg.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
}
