package rules

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// longest is how many lines a production file may have: one concept in a file.
const longest = 300

// goFiles calls f for all Go files of the repository.
func goFiles(t *testing.T, f func(path string, content []byte)) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".", d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		if err == nil {
			f(path, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreShort(t *testing.T) {
	goFiles(t, func(path string, content []byte) {
		if n := bytes.Count(content, []byte("\n")); n > longest && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines: split it by concept", path, n)
		}
	})
}

func TestEveryPackageSaysItsPurpose(t *testing.T) {
	documented := make(map[string]bool)
	goFiles(t, func(path string, content []byte) {
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || bytes.Contains(content, []byte("// Package ")) || bytes.Contains(content, []byte("// Command ")) ||
			filepath.Base(path) == "main.go" && bytes.HasPrefix(content, []byte("// "))
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: purpose, invariants, and who may call it from which goroutine", dir)
		}
	}
}
