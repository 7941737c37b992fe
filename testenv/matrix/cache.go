package matrix

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CacheDir returns the folder that keeps root file systems and dockerds between
// runs. It is outside the checkout, so that a fresh clone uses the results of
// an earlier clone.
func CacheDir() string {
	return filepath.Join(cmp.Or(os.Getenv("XDG_CACHE_HOME"), "/var/cache"), "gremesh", "matrix")
}

// recipeHash returns a short hash of the inputs of a build.
func recipeHash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// cached returns the path dir/name. If it does not exist, cached calls build
// with a temporary path beside it and renames the result. Therefore an
// interrupted build leaves nothing that looks complete. A lock makes a second
// process wait for the first.
func cached(dir, name string, build func(path string) error) (string, error) {
	final := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(final+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // also unlocks it
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	part := final + ".part"
	if err := os.RemoveAll(part); err != nil { // left by an interrupted build
		return "", err
	}
	if err := build(part); err != nil {
		return "", fmt.Errorf("make %s: %w", final, err)
	}
	return final, os.Rename(part, final)
}
