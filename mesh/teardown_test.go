package mesh

import (
	"errors"
	"strings"
	"testing"
)

func TestTeardownTakesTheRoutesWithoutOpenVSwitch(t *testing.T) {
	w := planned(testHost(2))
	w.ovsErr = errors.New("no Open vSwitch")
	err := w.loop().Teardown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no Open vSwitch") || strings.Join(w.applied, " ") != "kernel" {
		t.Errorf("applied %v, %v", w.applied, err)
	}
}
