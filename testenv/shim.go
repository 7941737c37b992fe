package testenv

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shimDir is where containerd's shims have their sockets. It cannot be
// configured, so it is outside the lab's folder.
const shimDir = "/run/containerd/s"

// removeShimSockets removes the sockets of the lab's shims.
func removeShimSockets(dir string) error {
	return removeGlob(filepath.Join(dir, "*/docker/containerd/state/*/*/*"), func(bundle string) error {
		address, err := shimAddress(bundle)
		if err != nil {
			return err
		}
		socket, ok := strings.CutPrefix(address, "unix://"+shimDir+"/")
		if !ok {
			return nil
		}
		return os.RemoveAll(filepath.Join(shimDir, filepath.Base(socket)))
	})
}

// shimAddress returns where the shim of a container listens, of which bundle is
// the folder. It is empty if no shim has come that far. containerd 1 writes the
// file address, containerd 2 writes bootstrap.json.
func shimAddress(bundle string) (string, error) {
	text, err := os.ReadFile(filepath.Join(bundle, "bootstrap.json"))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(bundle, "address"))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return string(text), err
	}
	if err != nil {
		return "", err
	}
	var bootstrap struct {
		Address string `json:"address"`
	}
	// A containerd that is killed leaves a part of the file.
	_ = json.Unmarshal(text, &bootstrap)
	return bootstrap.Address, nil
}
