package rss

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

// frame describes a test frame between known addresses; bytes builds it.
type frame struct {
	v6    bool
	tags  []header.EtherType
	proto header.Protocol // of the last header
	ext   []byte          // IPv4 options, or IPv6 extension headers
	next  header.Protocol // IPv6: of the first extension header
	frag  uint16          // IPv4: offset in bytes
	more  bool            // IPv4: more fragments
	l4    []byte
}

const (
	testSport = 2794
	testDport = 1766
	testSrc4  = 0x420995bb // 66.9.149.187
	testDst4  = 0xa18e6450 // 161.142.100.80
)

func testAddrs6(t testing.TB) (src, dst header.Addr) {
	return addr(t, "3ffe:2501:200:1fff::7"), addr(t, "3ffe:2501:200:3::1")
}

func tcpHeader() []byte {
	b := make([]byte, header.TCPLen)
	(*header.TCP)(b).Encode(&header.TCPFields{SrcPort: testSport, DstPort: testDport, Flags: header.TCPSyn})
	return b
}

func udpHeader() []byte {
	b := make([]byte, header.UDPLen)
	(*header.UDP)(b).Encode(&header.UDPFields{SrcPort: testSport, DstPort: testDport, Length: header.UDPLen})
	return b
}

func (f frame) bytes(t testing.TB) []byte {
	t.Helper()
	typ := header.EtherTypeIPv4
	if f.v6 {
		typ = header.EtherTypeIPv6
	}
	types := append(append([]header.EtherType{}, f.tags...), typ)
	b := make([]byte, header.EthernetLen)
	(*header.Ethernet)(b).Encode(header.MAC{2}, header.MAC{4}, types[0])
	for _, typ := range types[1:] {
		tag := make([]byte, header.VLANLen)
		(*header.VLAN)(tag).Encode(7, typ)
		b = append(b, tag...)
	}
	rest := append(append([]byte{}, f.ext...), f.l4...)
	if f.v6 {
		ip := make([]byte, header.IPv6Len)
		src, dst := testAddrs6(t)
		next := f.proto
		if len(f.ext) > 0 {
			next = f.next
		}
		(*header.IPv6)(ip).Encode(&header.IPv6Fields{
			NextHeader: next, HopLimit: 64, PayloadLen: uint16(len(rest)), Src: src, Dst: dst})
		return append(append(b, ip...), rest...)
	}
	ip := make([]byte, header.IPv4Len)
	(*header.IPv4)(ip).Encode(&header.IPv4Fields{
		TTL: 64, Protocol: f.proto, HdrLen: uint8(header.IPv4Len + len(f.ext)),
		TotalLen: uint16(header.IPv4Len + len(rest)), FragOffset: f.frag, MoreFragments: f.more,
		Src: header.AddrFrom4Uint(testSrc4), Dst: header.AddrFrom4Uint(testDst4)})
	return append(append(b, ip...), rest...)
}

// ext is an IPv6 extension header of 8·(1+units) bytes, filled with PadN.
func ext(next header.Protocol, units int) []byte {
	b := make([]byte, 8*(1+units))
	b[0], b[1] = byte(next), byte(units)
	b[2], b[3] = 1, byte(len(b)-4)
	return b
}

func fragment(next header.Protocol, off uint16, more bool) []byte {
	b := make([]byte, header.IPv6FragmentLen)
	(*header.IPv6Fragment)(b).Encode(next, off, more, 99)
	return b
}

type frameCase struct {
	name string
	f    frame
	kind Kind
}

func frameCases() []frameCase {
	const tcp, udp = header.ProtoTCP, header.ProtoUDP
	qinq := []header.EtherType{header.EtherTypeQinQ, header.EtherTypeVLAN}
	return []frameCase{
		{"tcp4", frame{proto: tcp, l4: tcpHeader()}, KindTCP4},
		{"udp4", frame{proto: udp, l4: udpHeader()}, KindUDP4},
		{"icmp4", frame{proto: header.ProtoICMP, l4: make([]byte, 8)}, KindIPv4},
		{"sctp4", frame{proto: 132, l4: make([]byte, 20)}, KindIPv4},
		{"empty4", frame{proto: tcp}, KindIPv4},
		{"short tcp4", frame{proto: tcp, l4: tcpHeader()[:19]}, KindIPv4},
		{"short udp4", frame{proto: udp, l4: udpHeader()[:7]}, KindIPv4},
		{"tcp4 with data", frame{proto: tcp, l4: append(tcpHeader(), 1, 2, 3)}, KindTCP4},
		{"tcp4 with options", frame{proto: tcp, ext: make([]byte, 40), l4: tcpHeader()}, KindTCP4},
		{"first fragment", frame{proto: tcp, more: true, l4: tcpHeader()}, KindIPv4},
		{"middle fragment", frame{proto: udp, more: true, frag: 1480, l4: udpHeader()}, KindIPv4},
		{"last fragment", frame{proto: tcp, frag: 1480, l4: tcpHeader()}, KindIPv4},
		{"tagged tcp4", frame{tags: qinq[1:], proto: tcp, l4: tcpHeader()}, KindTCP4},
		{"double tagged udp4", frame{tags: qinq, proto: udp, l4: udpHeader()}, KindUDP4},
		{"three tags", frame{tags: append(qinq, qinq[1]), proto: udp, l4: udpHeader()}, KindNone},

		{"tcp6", frame{v6: true, proto: tcp, l4: tcpHeader()}, KindTCP6},
		{"udp6", frame{v6: true, proto: udp, l4: udpHeader()}, KindUDP6},
		{"icmp6", frame{v6: true, proto: header.ProtoICMPv6, l4: make([]byte, 8)}, KindIPv6},
		{"short tcp6", frame{v6: true, proto: tcp, l4: tcpHeader()[:19]}, KindIPv6},
		{"tagged tcp6", frame{v6: true, tags: qinq[:1], proto: tcp, l4: tcpHeader()}, KindTCP6},
		{"hop-by-hop", frame{v6: true, next: header.ProtoHopByHop, ext: ext(tcp, 0), l4: tcpHeader()}, KindTCP6},
		{"two extensions", frame{v6: true, next: header.ProtoHopByHop,
			ext: append(ext(header.ProtoDestOpts, 1), ext(udp, 2)...), l4: udpHeader()}, KindUDP6},
		{"extension cut short", frame{v6: true, next: header.ProtoDestOpts, ext: ext(tcp, 3)[:16]}, KindIPv6},
		{"nothing next", frame{v6: true, next: header.ProtoDestOpts, ext: ext(header.ProtoNone, 0)}, KindIPv6},
		{"first fragment 6", frame{v6: true, next: header.ProtoFragment, ext: fragment(tcp, 0, true), l4: tcpHeader()}, KindIPv6},
		{"last fragment 6", frame{v6: true, next: header.ProtoFragment, ext: fragment(tcp, 1448, false), l4: tcpHeader()}, KindIPv6},
		{"atomic fragment", frame{v6: true, next: header.ProtoFragment, ext: fragment(udp, 0, false), l4: udpHeader()}, KindIPv6},
	}
}

// wantHash is the oracle's hash of the test addresses, with the test ports if
// the kind has some.
func wantHash(t testing.TB, kind Kind) uint32 {
	t.Helper()
	var ports []uint16
	if kind.HasPorts() {
		ports = []uint16{testSport, testDport}
	}
	switch kind {
	case KindNone:
		return 0
	case KindIPv4, KindTCP4, KindUDP4:
		return toeplitzBits(DefaultKey.Bytes(), input4(testSrc4, testDst4, ports...))
	}
	src, dst := testAddrs6(t)
	return toeplitzBits(DefaultKey.Bytes(), input6(src, dst, ports...))
}

func TestHashFrame(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, c := range frameCases() {
		b := c.f.bytes(t)
		hash, kind := h.HashFrame(b)
		require.Equal(t, c.kind, kind, c.name)
		require.Equal(t, wantHash(t, c.kind), hash, c.name)

		// Padding of the link changes nothing.
		hash2, kind2 := h.HashFrame(append(b, make([]byte, 46)...))
		require.Equal(t, kind, kind2, "%s, padded", c.name)
		require.Equal(t, hash, hash2, "%s, padded", c.name)
	}
	hash, kind := h.HashFrame(frame{proto: header.ProtoTCP, l4: tcpHeader()}.bytes(t))
	require.Equal(t, KindTCP4, kind)
	require.Equal(t, uint32(0x51ccc178), hash, "Microsoft's vector, as a frame")
}

// Headers in the first buffer suffice: the data may be in further ones.
func TestHashFrameOfSeveralBuffers(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, v6 := range []bool{false, true} {
		data := make([]byte, 4000)
		whole := frame{v6: v6, proto: header.ProtoTCP, l4: append(tcpHeader(), data...)}.bytes(t)
		want, kind := h.HashFrame(whole)
		require.True(t, kind.HasPorts())
		for _, cut := range []int{1, 3999, 4000} {
			hash, k := h.HashFrame(whole[:len(whole)-cut])
			require.Equal(t, kind, k)
			require.Equal(t, want, hash)
		}
		_, k := h.HashFrame(whole[:len(whole)-4001])
		require.False(t, k.HasPorts(), "the TCP header is cut")
	}
}

// Frames cut at each byte: no panic, and ports only once the header is there.
func TestHashFrameTruncated(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, c := range frameCases() {
		b := c.f.bytes(t)
		for n := range b {
			hash, kind := h.HashFrame(b[:n:n])
			require.Equal(t, wantHash(t, kind), hash, "%s, %d bytes", c.name, n)
			if n < header.EthernetLen+header.IPv4Len {
				require.Equal(t, KindNone, kind, "%s, %d bytes", c.name, n)
			}
		}
	}
}

func TestHashFrameNotIP(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, typ := range []header.EtherType{header.EtherTypeARP, 0x88cc, 46, 0} {
		b := make([]byte, 60)
		(*header.Ethernet)(b).Encode(header.Broadcast, header.MAC{2}, typ)
		hash, kind := h.HashFrame(b)
		require.Zero(t, hash)
		require.Equal(t, KindNone, kind)
	}
	for _, c := range frameCases()[:1] {
		b := c.f.bytes(t)
		b[header.EthernetLen] = 5<<4 | 5 // version
		_, kind := h.HashFrame(b)
		require.Equal(t, KindNone, kind)
		b[header.EthernetLen] = 4<<4 | 4 // IHL
		_, kind = h.HashFrame(b)
		require.Equal(t, KindNone, kind)
	}
}

// A frame with an IPv4-mapped address on the wire fails the gate (RFC 6890) and
// is not hashed: it must not pass for the IPv4 flow that it names.
func TestHashFrameMappedAddress(t *testing.T) {
	h := NewHasher(DefaultKey)
	b := frame{v6: true, proto: header.ProtoTCP, l4: tcpHeader()}.bytes(t)
	src, dst := header.AddrFrom4Uint(testSrc4), header.AddrFrom4Uint(testDst4)
	ip := (*header.IPv6)(b[header.EthernetLen:])
	ip.SetSrc(src)
	ip.SetDst(dst)
	hash, kind := h.HashFrame(b)
	require.Equal(t, KindNone, kind)
	require.Zero(t, hash)
}

func TestKindString(t *testing.T) {
	require.Equal(t, "none", KindNone.String())
	require.Equal(t, "tcp4", KindTCP4.String())
	require.Equal(t, "udp6", KindUDP6.String())
	require.Equal(t, "invalid", Kind(7).String())
}

func TestHashFrameDoesNotAllocate(t *testing.T) {
	h := NewHasher(DefaultKey)
	for _, c := range frameCases() {
		b := c.f.bytes(t)
		require.Zero(t, testing.AllocsPerRun(10, func() { h.HashFrame(b) }), c.name)
	}
}
