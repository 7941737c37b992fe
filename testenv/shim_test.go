package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAddressOfAShim(t *testing.T) {
	const address = "unix:///run/containerd/s/1b9e"
	for _, tc := range []struct{ what, file, text, want string }{
		{"containerd 1", "address", address, address},
		{"containerd 2", "bootstrap.json", `{"version":3,"address":"` + address + `","protocol":"ttrpc"}`, address},
		{"half of a file", "bootstrap.json", `{"version":3,"addr`, ""},
		{"no shim yet", "config.json", "{}", ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			bundle := t.TempDir()
			if err := os.WriteFile(filepath.Join(bundle, tc.file), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := shimAddress(bundle); got != tc.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
