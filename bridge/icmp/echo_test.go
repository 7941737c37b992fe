package icmp

import "testing"

func TestARequestHasAValidChecksum(t *testing.T) {
	for _, size := range []int{Header, Header + 1, 1472, 65515} {
		b := Request(EchoRequest, 0xbeef, 0xcafe, size)
		// The sum over a valid message, with its checksum, is zero (RFC 1071).
		if len(b) != size || checksum(b) != 0 {
			t.Errorf("%d bytes: %d, the sum is %#x", size, len(b), checksum(b))
		}
		if got := string(b[4:8]); got != "\xbe\xef\xca\xfe" {
			t.Errorf("identifier and sequence number are %x", got)
		}
	}
}
