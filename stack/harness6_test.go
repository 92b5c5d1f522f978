package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// The IPv6 side of the harness: a host6 has 2001:db8::1/64 and the link-local
// address of its MAC, all of them ready, and knows the peer 2001:db8::2.

var (
	user6   = netip.MustParseAddr("2001:db8::1")
	peer6   = netip.MustParseAddr("2001:db8::2")
	other6  = netip.MustParseAddr("2001:db8::3")
	beyond6 = netip.MustParseAddr("2001:db8:1::9")
	userLL  = header.LinkLocalOf(scriptMAC.InterfaceID()).Netip()
	peerLL  = header.LinkLocalOf(scriptPeer.InterfaceID()).Netip()
	all6    = netip.MustParseAddr("ff02::1")
)

// host6Config says how to make a host with IPv6; the zero value is a good one.
type host6Config struct {
	hostConfig
	ND  bool // the peer must be resolved
	DAD bool // duplicate address detection is on, and has not begun
}

func newHost6(t testing.TB, cfg host6Config) *host {
	t.Helper()
	if !cfg.DAD {
		cfg.IPv6.DADTransmits = -1
	}
	cfg.ARP = cfg.ARP || cfg.ND
	h := newHost(t, cfg.hostConfig)
	if !cfg.DAD {
		require.NoError(t, h.nif.AddAddr(prefix6addr))
		if !cfg.ND {
			require.NoError(t, h.AddNeighbor(h.nif, peer6, scriptPeer))
		}
		h.advance(3 * time.Second) // the reports of its groups
		h.sent = nil
	}
	h.stats = Stats{}
	return h
}

var prefix6addr = netip.PrefixFrom(user6, 64)

func (f *frame) parseIP6(t testing.TB, b []byte) {
	t.Helper()
	ip, n, fault := header.ParseIPv6(b)
	require.Zero(t, fault, "IPv6: %v", fault)
	require.Len(t, b, header.IPv6Len+n, "IPv6 payload length of a frame without padding")
	f.ip6, f.ipb, f.body = ip, b, b[header.IPv6Len:]
	fault = header.ParseIPv6Extensions(ip.NextHeader(), f.body, &f.ext)
	require.Zero(t, fault, "extension headers: %v", fault)
	f.body = f.body[f.ext.Off:]
	if f.ext.Fragment >= 0 {
		return
	}
	f.parseL4(t, f.body, f.ext.Protocol, header.PseudoHeader6(ip.Src(), ip.Dst(), f.ext.Protocol, uint32(len(f.body))))
}

func (f frame) string6() string {
	s := fmt.Sprintf("%v > %v %v hops %d len %d", f.ip6.Src(), f.ip6.Dst(), f.ext.Protocol, f.ip6.HopLimit(), len(f.ipb))
	if f.icmp6 != nil {
		s += fmt.Sprintf(" type %d code %d", f.icmp6.Type(), f.icmp6.Code())
	}
	return s
}

// ipv6 is what varies in a packet that a test makes. The zero value is from the
// peer to the host.
type ipv6 struct {
	src, dst netip.Addr
	proto    header.Protocol // of what is behind ext
	hops, tc uint8
	first    header.Protocol // of ext
	ext      []byte          // extension headers
}

func (h ipv6) withDefaults() ipv6 {
	def(&h.src, peer6)
	def(&h.dst, user6)
	def(&h.hops, 64)
	if h.ext == nil {
		h.first = h.proto
	}
	return h
}

// packet puts the IPv6 header, and ext, in front of its payload.
func (h ipv6) packet(body []byte) []byte {
	h = h.withDefaults()
	b := make([]byte, header.IPv6Len, header.IPv6Len+len(h.ext)+len(body))
	(*header.IPv6)(b).Encode(&header.IPv6Fields{
		TrafficClass: h.tc, HopLimit: h.hops, NextHeader: h.first, PayloadLen: uint16(len(h.ext) + len(body)),
		Src: hdr(h.src), Dst: hdr(h.dst),
	})
	return append(append(b, h.ext...), body...)
}

// frame is the packet in a frame from the peer to the host, or to the group.
func (h ipv6) frame(body []byte) []byte {
	h = h.withDefaults()
	to := scriptMAC
	if h.dst.IsMulticast() {
		to = hdr(h.dst).MulticastMAC()
	}
	return etherTo(to, header.EtherTypeIPv6, h.packet(body))
}

func (h ipv6) sum(p header.Protocol, b []byte) uint16 {
	h = h.withDefaults()
	return header.Checksum(b, header.PseudoHeader6(hdr(h.src), hdr(h.dst), p, uint32(len(b))))
}

// icmpBody is an ICMPv6 message with its checksum.
func (h ipv6) icmpBody(typ, code uint8, rest uint32, data []byte) []byte {
	b := make([]byte, header.ICMPv6Len, header.ICMPv6Len+len(data))
	b = append(b, data...)
	m := (*header.ICMPv6)(b)
	m.Encode(typ, code, rest)
	m.SetChecksum(^h.sum(header.ProtoICMPv6, b))
	return b
}

// icmp is a frame with an ICMPv6 message.
func (h ipv6) icmp(typ, code uint8, rest uint32, data []byte) []byte {
	h.proto = header.ProtoICMPv6
	return h.frame(h.icmpBody(typ, code, rest, data))
}

// nd is a frame with a neighbour discovery message whose checksum is missing.
func (h ipv6) nd(b []byte) []byte {
	def(&h.hops, 255)
	h.proto = header.ProtoICMPv6
	m := (*header.ICMPv6)(b)
	m.SetChecksum(0)
	m.SetChecksum(^h.sum(header.ProtoICMPv6, b))
	return h.frame(b)
}

func (h ipv6) udpBody(sport, dport uint16, data []byte) []byte {
	b := append(make([]byte, header.UDPLen), data...)
	u := (*header.UDP)(b)
	u.Encode(&header.UDPFields{SrcPort: sport, DstPort: dport, Length: uint16(len(b))})
	u.SetChecksum(header.UDPChecksum(h.sum(header.ProtoUDP, b)))
	return b
}

func (h ipv6) udp(sport, dport uint16, data []byte) []byte {
	h.proto = header.ProtoUDP
	return h.frame(h.udpBody(sport, dport, data))
}

// tcp is a frame with a TCP segment; opts has a multiple of 4 bytes.
func (h ipv6) tcp(f header.TCPFields, opts, data []byte) []byte {
	h.proto = header.ProtoTCP
	b := append(append(make([]byte, header.TCPLen), opts...), data...)
	f.HdrLen = uint8(header.TCPLen + len(opts))
	x := (*header.TCP)(b)
	x.Encode(&f)
	x.SetChecksum(0)
	x.SetChecksum(^h.sum(header.ProtoTCP, b))
	return h.frame(b)
}

// fragHeader is a fragment header, behind which proto follows.
func fragHeader(proto header.Protocol, off int, more bool, id uint32) []byte {
	b := make([]byte, header.IPv6FragmentLen)
	(*header.IPv6Fragment)(b).Encode(proto, uint16(off), more, id)
	return b
}

// fragment is a frame with bytes [from, to) of a fragmentable part that begins
// with proto.
func (h ipv6) fragment(id uint32, proto header.Protocol, part []byte, from, to int) []byte {
	h.first, h.ext = header.ProtoFragment, fragHeader(proto, from, to < len(part), id)
	return h.frame(part[from:to])
}

// cut is frames with fragments of at most n bytes.
func (h ipv6) cut(id uint32, proto header.Protocol, part []byte, n int) (frames [][]byte) {
	for from := 0; from < len(part); from += n {
		frames = append(frames, h.fragment(id, proto, part, from, min(from+n, len(part))))
	}
	return frames
}

// Messages of neighbour discovery, without checksum.

func ndSolicit(target netip.Addr, mac header.MAC) []byte {
	b := make([]byte, header.NDSolicitLen, header.NDSolicitLen+8)
	(*header.NDSolicit)(b).Encode(hdr(target))
	return ndLink(b, header.NDOptSourceLink, mac)
}

func ndAdvert(target netip.Addr, flags uint8, mac header.MAC) []byte {
	b := make([]byte, header.NDAdvertLen, header.NDAdvertLen+8)
	(*header.NDAdvert)(b).Encode(hdr(target), flags)
	return ndLink(b, header.NDOptTargetLink, mac)
}

// ndLink appends an option with a MAC, unless that is zero.
func ndLink(b []byte, typ uint8, mac header.MAC) []byte {
	if mac.IsZero() {
		return b
	}
	b = append(b, make([]byte, header.NDLinkAddrLen)...)
	header.PutNDLinkAddr(b[len(b)-header.NDLinkAddrLen:], typ, mac)
	return b
}

// group6 is the solicited-node group of an address.
func solicited(a netip.Addr) netip.Addr { return hdr(a).SolicitedNode().Netip() }

// nextIs asserts that the only frame sent is an ICMPv6 message of that type, and
// returns it.
func (h *host) nextIs(typ uint8) frame {
	h.t.Helper()
	f := h.one()
	require.NotNil(h.t, f.icmp6, "%s", f)
	require.Equal(h.t, typ, f.icmp6.Type(), "%s", f)
	return f
}

// takeType returns the ICMPv6 messages of a type among what was sent.
func (h *host) takeType(typ uint8) (out []frame) {
	for _, f := range h.take() {
		if f.icmp6 != nil && f.icmp6.Type() == typ {
			out = append(out, f)
		}
	}
	return out
}

// error6 asserts that the only frame sent is an ICMPv6 error which quotes a packet.
func (h *host) error6(typ, code uint8, rest uint32, quoted []byte) frame {
	h.t.Helper()
	f := h.nextIs(typ)
	require.Equal(h.t, code, f.icmp6.Code(), "code")
	require.Equal(h.t, rest, f.icmp6.Rest(), "MTU or pointer")
	n := min(len(quoted), header.IPv6MinMTU-header.IPv6Len-header.ICMPv6Len)
	require.Equal(h.t, quoted[:n], f.body, "as much as fits is quoted (RFC 4443 2.4 (c))")
	return f
}
