package ovsdb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFDB(t *testing.T) {
	const shown = " port  VLAN  MAC                Age\n" +
		"    3     0  02:42:ac:11:2b:01  static\n" +
		"LOCAL     0  02:42:ac:11:2a:01    7\n" +
		"LOCAL     0  02:42:ac:11:2a:02  static\n" +
		"65533     0  02:42:AC:11:2C:01  static\n" +
		"    3    20  02:42:ac:11:2d:01  static\n" +
		"    1     0  02:42:ac:11:2e:01  -2147460755\n" + // made static before the time of aging was changed
		"  gre     0  02:42:ac:11:2f:01  static\n" +
		"    3     0  02:42:ac:11:2f     static\n" +
		"    3     0  02:42:ac:11:30-01  static\n" +
		"    3     0"
	want := map[MAC]int{
		{2, 0x42, 0xac, 0x11, 0x2b, 1}: 3,
		{2, 0x42, 0xac, 0x11, 0x2a, 2}: 65534,
		{2, 0x42, 0xac, 0x11, 0x2c, 1}: 65533,
	}
	if d := cmp.Diff(want, parseFDB(shown)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// FuzzFDB has anything at all come from ovs-vswitchd.
func FuzzFDB(f *testing.F) {
	f.Add(table5000()[:200])
	f.Add(" port  VLAN  MAC                Age\nLOCAL     0  02:42:ac:11:2b:01  static")
	f.Fuzz(func(t *testing.T, shown string) {
		for mac, port := range parseFDB(shown) {
			if again := parseFDB(line(port, mac)); port <= 0 || again[mac] != port {
				t.Errorf("%s behind %d becomes %v", mac, port, again)
			}
		}
	})
}

func line(port int, mac MAC) string { return fmt.Sprintf("%5d     0  %s  static\n", port, mac) }

func table5000() string {
	var b strings.Builder
	b.WriteString(" port  VLAN  MAC                Age\n")
	for i := range 5000 {
		b.WriteString(line(i+1, MAC{2, 0x42, 10, byte(i >> 8), byte(i), 1}))
	}
	return b.String()
}

func BenchmarkParseFDB(b *testing.B) {
	shown := table5000()
	b.ReportAllocs()
	for b.Loop() {
		if len(parseFDB(shown)) != 5000 {
			b.Fatal("a table of 5,000 entries is read wrongly")
		}
	}
}
