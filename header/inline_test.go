package header

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// checkedFiles are those whose functions are accessors and gates of fixed
// headers: nothing in them needs a bounds check.
var checkedFiles = regexp.MustCompile(`(?m)^\./(addr|arp|ethernet|vlan|ipv4|ipv6|icmpv4|icmpv6|seq|tcp|tcp4|plain4|udp|udp4|checksum_generic)\.go:.*Found Is.*$`)

// allowedChecks are the exceptions, as the compiler's lines say them.
var allowedChecks = regexp.MustCompile(`ethernet\.go:\d+`) // MAC.String: a table

// mustInline are functions that a data path calls for every packet.
var mustInline = []string{
	"ParseEthernet", "ParseVLAN", "ParseARP", "ParseICMPv4", "ParseICMPv6", "ParseUDP", "ParseTCP",
	"ParseTimestampFast", "PutTimestamp", "PutMSS",
	"(*Ethernet).Encode", "(*Ethernet).Dst", "(*Ethernet).Src", "(*Ethernet).Type", "(*VLAN).Encode",
	"(*IPv4).Src", "(*IPv4).Dst", "(*IPv4).TotalLen", "(*IPv4).HdrLen", "(*IPv4).FragOffset", "(*IPv4).IsFragment",
	"(*IPv4).Protocol", "(*IPv4).TTL", "(*IPv4).DecTTL", "(*IPv4).SetTotalLen", "(*IPv4).SetID", "(*IPv4).SetChecksum",
	"(*IPv6).Src", "(*IPv6).Dst", "(*IPv6).PayloadLen", "(*IPv6).NextHeader", "(*IPv6).SetPayloadLen",
	"(*UDP).SrcPort", "(*UDP).DstPort", "(*UDP).Length", "(*UDP).Checksum", "(*UDP).Encode",
	"(*TCP).SrcPort", "(*TCP).DstPort", "(*TCP).Ports", "(*TCP).Seq", "(*TCP).Ack", "(*TCP).HdrLen", "(*TCP).Flags",
	"(*TCP).Window", "(*TCP).Checksum", "(*TCP).SetSeq", "(*TCP).SetAck", "(*TCP).SetWindow", "(*TCP).SetChecksum",
	"Seq.Less", "Seq.LessEq", "Seq.Greater", "Seq.GreaterEq", "Seq.InRange", "Seq.InWindow", "Seq.Add", "Seq.Sub",
	"Addr.Is4", "Addr.Uint32", "Addr.IsMulticast", "Addr.IsUnspecified", "AddrFrom4Uint", "AddrFrom16", "FromNetip",
	"(*Plain4).DstMAC", "(*Plain4).Src", "(*Plain4).Dst", "(*Plain4).PseudoSum", "(*TCP4).Plain", "(*UDP4).Plain", "TimestampSum",
	"MAC.IsMulticast", "MAC.IsBroadcast",
	"CombineChecksum", "ChecksumOdd", "PseudoHeader4", "UpdateChecksum16", "UpdateChecksum32", "UDPChecksum", "fold",
}

// TestAccessorsInlineWithoutBoundsChecks asks the compiler.
func TestAccessorsInlineWithoutBoundsChecks(t *testing.T) {
	tool := testenv.Tool(t, "go")
	out, err := exec.Command(tool, "build", "-gcflags=-m -d=ssa/check_bce", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	text := string(out)
	for _, f := range mustInline {
		if !strings.Contains(text, "can inline "+f+"\n") {
			t.Error("not inlined: ", f)
		}
	}
	for _, line := range checkedFiles.FindAllString(text, -1) {
		if !allowedChecks.MatchString(line) {
			t.Error("bounds check: ", line)
		}
	}
	require.Regexp(t, `tcp_options\.go.*Found Is`, text, "the compiler reports checks where there are some")
}

// TestGatesDoNotAllocate runs the way of a packet through its gates.
func TestGatesDoNotAllocate(t *testing.T) {
	b := make([]byte, 128)
	(*IPv4)(b).Encode(&IPv4Fields{Protocol: ProtoTCP, TotalLen: 128, Src: addr(t, "10.0.0.1"), Dst: addr(t, "10.0.0.2")})
	(*TCP)(b[20:]).Encode(&TCPFields{HdrLen: 32})
	PutTimestamp(b[40:], 1, 2)
	dst := make([]byte, 128)
	allocs := testing.AllocsPerRun(100, func() {
		h, hdrLen, total, f := ParseIPv4(b)
		th, off, g := ParseTCP(b[hdrLen:total])
		var o TCPOptions
		var x IPv6Extensions
		var p IPv4Options
		bad := f | g | ParseTCPOptions(b[hdrLen+TCPLen:hdrLen+off], &o)
		bad |= ParseIPv4Options(nil, &p) | ParseIPv6Extensions(ProtoTCP, nil, &x)
		sum := PseudoHeader(h.Src(), h.Dst(), ProtoTCP, uint32(total-hdrLen))
		th.SetChecksum(ChecksumCopy(dst, b, sum))
		if bad != OK || !o.HasTS {
			panic("not what was encoded")
		}
	})
	require.Zero(t, allocs)
}
