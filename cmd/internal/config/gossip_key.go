package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gremesh/gremesh/mesh/regular"
)

// keySize is the size of a gossip key in bytes (AES-256).
const keySize = 32

// maxKeyFile limits how many bytes are read from a key file.
const maxKeyFile = 64 << 10

// NewGossipKey returns a new gossip key, encoded in base64.
func NewGossipKey() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails (documented in crypto/rand)
	return base64.StdEncoding.EncodeToString(key)
}

// readKeys reads the gossip keys from a file, the primary key first. Each line
// is the base64 of 32 bytes. readKeys skips empty lines and lines that begin
// with #. It refuses a file that users other than the owner may read or write.
// It also refuses a file whose owner is neither root nor the caller. No error
// contains a key.
func readKeys(path string) ([][]byte, error) {
	f, err := regular.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no such file: copy it from a host of the mesh; for a new mesh make it with \"gremesh keygen %s\"; for a trial set mesh.insecure: true (--insecure)", path)
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written

	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("has mode %#o, so that others may read or write it: chmod 600 %s", info.Mode().Perm(), path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("belongs to the user with the ID %d, who may read and change it: chown root %s", stat.Uid, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	return parseKeys(string(text))
}

func parseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64; a line is what gremesh keygen prints", number)
		}
		if len(key) != keySize {
			return nil, fmt.Errorf("line %d holds %d bytes; a key has %d, as gremesh keygen makes it", number, len(key), keySize)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key; a line is what gremesh keygen prints")
	}
	return keys, nil
}

// ErrKeyExists means that the file already holds a key, and was not changed.
var ErrKeyExists = errors.New("holds a key already")

// WriteGossipKey creates a file with a new key. Only the owner of the file may
// read it. WriteGossipKey never writes to a file that exists.
func WriteGossipKey(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if _, err := readKeys(path); err == nil {
			return fmt.Errorf("%s %w", path, ErrKeyExists)
		}
		return fmt.Errorf("%s exists and is left as it is; remove it first if its key is no longer in use", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make key file: %w; make its directory first: mkdir -p %s", err, filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	_, err = fmt.Fprintln(f, NewGossipKey())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil { // a full disk: leave no part of a key
		return errors.Join(fmt.Errorf("make key file: %w", err), os.Remove(path))
	}
	return nil
}
