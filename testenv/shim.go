package testenv

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shimDir is the folder of the sockets of containerd's shims. It is outside the
// lab's folder because it cannot be configured.
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

// shimAddress returns the address of the shim of a container. bundle is the
// folder of the container. The address is empty if the shim has not written it
// yet. containerd 1 writes the file address, containerd 2 writes
// bootstrap.json.
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
	// If containerd was killed, the file may be incomplete.
	_ = json.Unmarshal(text, &bootstrap)
	return bootstrap.Address, nil
}
