package bridge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// strict returns those of the devices that are. One that has gone meanwhile is
// not.
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
