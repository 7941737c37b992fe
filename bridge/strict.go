package bridge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// strict returns the devices with strict reverse path filtering, sorted; see State.
// A device that was deleted meanwhile is not strict, unless rp_filter of "all" is 1.
func strict(devices []string) []string {
	value := func(device string) string {
		b, _ := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", device, "rp_filter"))
		return strings.TrimSpace(string(b))
	}
	all := value("all")
	var found []string
	for _, device := range devices {
		if max(all, value(device)) == "1" {
			found = append(found, device)
		}
	}
	slices.Sort(found)
	return found
}
