package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// ipv4Packet returns a packet with hdrLen bytes of header (options zero) and
// n bytes of payload.
func ipv4Packet(t testing.TB, hdrLen, n int) []byte {
	t.Helper()
	b := make([]byte, hdrLen+n)
	h := (*IPv4)(b)
	h.Encode(&IPv4Fields{
		TTL: 64, Protocol: ProtoUDP, HdrLen: uint8(hdrLen), TotalLen: uint16(len(b)), ID: 0x1234,
		Src: addr(t, "192.0.2.1"), Dst: addr(t, "198.51.100.2"),
	})
	h.FillChecksum(b[:hdrLen])
	return b
}

// TestRFC791_3_1_Layout writes every field and reads the bytes.
func TestRFC791_3_1_Layout(t *testing.T) {
	b := make([]byte, IPv4Len)
	h := (*IPv4)(b)
	h.Encode(&IPv4Fields{
		TOS: 0xb9, TTL: 63, Protocol: ProtoTCP, DontFragment: true, TotalLen: 0x0102, ID: 0x0304,
		Src: addr(t, "10.1.2.3"), Dst: addr(t, "10.4.5.6"),
	})
	require.Equal(t, []byte{0x45, 0xb9, 1, 2, 3, 4, 0x40, 0, 63, 6}, b[:10])
	require.Equal(t, []byte{10, 1, 2, 3, 10, 4, 5, 6}, b[12:])
	require.True(t, h.VerifyChecksum(b))
	require.Equal(t, 4, h.Version())
	require.Equal(t, 5, h.IHL())
	require.Equal(t, 20, h.HdrLen())
	require.Equal(t, uint8(0xb9), h.TOS())
	require.Equal(t, ECNECT1, h.TOS()&ECNMask)
	require.Equal(t, uint16(0x0102), h.TotalLen())
	require.Equal(t, uint16(0x0304), h.ID())
	require.Equal(t, uint8(63), h.TTL())
	require.Equal(t, ProtoTCP, h.Protocol())
	require.True(t, h.DontFragment())
	require.False(t, h.MoreFragments() || h.IsFragment())
	require.Equal(t, "10.1.2.3", h.Src().String())
	require.Equal(t, "10.4.5.6", h.Dst().String())
}

// TestRFC791_3_2_FragmentField: offsets are in units of 8 bytes on the wire and
// in bytes here.
func TestRFC791_3_2_FragmentField(t *testing.T) {
	h := new(IPv4)
	h.Encode(&IPv4Fields{MoreFragments: true, FragOffset: 1480})
	require.Equal(t, []byte{0x20, 185}, h[6:8])
	require.Equal(t, uint16(1480), h.FragOffset())
	require.True(t, h.MoreFragments() && h.IsFragment())
	require.False(t, h.DontFragment())
	h.SetFrag(65528, false, false)
	require.Equal(t, uint16(65528), h.FragOffset())
	require.True(t, h.IsFragment())
	h.SetFrag(0, false, true)
	require.Equal(t, []byte{0x40, 0}, h[6:8])
	require.False(t, h.IsFragment())
}

func TestIPv4Setters(t *testing.T) {
	b := ipv4Packet(t, 20, 0)
	h := (*IPv4)(b)
	h.SetTOS(1)
	h.SetTotalLen(0x203)
	h.SetID(0x405)
	h.SetTTL(6)
	h.SetProtocol(7)
	h.SetChecksum(0x809)
	h.SetSrc(addr(t, "10.11.12.13"))
	h.SetDst(addr(t, "14.15.16.17"))
	require.Equal(t, []byte{0x45, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, b)
	require.Equal(t, uint16(0x809), h.Checksum())
}

func TestRFC1122_3_2_1_1_VersionIs4(t *testing.T) {
	b := ipv4Packet(t, 20, 8)
	for v := range byte(16) {
		b[0] = v<<4 | 5
		_, _, _, f := ParseIPv4(b)
		if v == 4 {
			require.Equal(t, OK, f)
		} else {
			require.Equal(t, FaultIPv4Version, f)
		}
	}
}

func TestRFC791_3_1_LengthsFitEachOther(t *testing.T) {
	for ihl := range 16 {
		for total := range 80 {
			for _, have := range []int{0, 19, 20, 24, 60, 64} {
				b := make([]byte, have)
				if have >= 4 {
					b[0], b[3] = byte(0x40|ihl), byte(total)
				}
				h, hdrLen, totalLen, f := ParseIPv4(b)
				switch {
				case have < 20:
					require.Equal(t, FaultIPv4Short, f)
				case ihl < 5 || ihl*4 > total:
					require.Equal(t, FaultIPv4IHL, f)
				case total > have:
					require.Equal(t, FaultIPv4Total, f)
				default:
					require.Equal(t, OK, f)
					require.NotNil(t, h)
					require.Equal(t, 4*ihl, hdrLen)
					require.Equal(t, total, totalLen)
				}
				if f != OK {
					require.Nil(t, h)
				}
			}
		}
	}
}

func TestRFC894_PaddingIsNotPartOfThePacket(t *testing.T) {
	b := append(ipv4Packet(t, 20, 1), make([]byte, 25)...)
	_, hdrLen, totalLen, f := ParseIPv4(b)
	require.Equal(t, OK, f)
	require.Equal(t, 20, hdrLen)
	require.Equal(t, 21, totalLen)
}

// TestRFC1122_3_2_1_2_HeaderChecksum breaks single bits: no such error goes
// unseen.
func TestRFC1122_3_2_1_2_HeaderChecksum(t *testing.T) {
	for hdrLen := 20; hdrLen <= 60; hdrLen += 4 {
		b := ipv4Packet(t, hdrLen, 0)
		h := (*IPv4)(b)
		require.Equal(t, uint16(0xffff), plainSum(b, 0))
		require.True(t, h.VerifyChecksum(b))
		for bit := range 8 * hdrLen {
			b[bit/8] ^= 1 << (bit & 7)
			require.False(t, h.VerifyChecksum(b), "bit %d", bit)
			b[bit/8] ^= 1 << (bit & 7)
		}
	}
}

// TestRFC1812_5_3_1_DecTTL: the checksum stays right all the way down.
func TestRFC1812_5_3_1_DecTTL(t *testing.T) {
	b := ipv4Packet(t, 20, 0)
	h := (*IPv4)(b)
	h.SetTTL(255)
	h.FillChecksum(b)
	for ttl := 254; ttl >= 0; ttl-- {
		h.DecTTL()
		require.Equal(t, uint8(ttl), h.TTL())
		require.Equal(t, ProtoUDP, h.Protocol())
		require.True(t, h.VerifyChecksum(b))
	}
}

func TestRFC791_3_1_OptionsAreWalked(t *testing.T) {
	b := []byte{
		IPv4OptNOP,
		IPv4OptRecordRoute, 7, 4, 0, 0, 0, 0,
		IPv4OptTimestamp, 8, 5, 0, 0, 0, 0, 0,
		IPv4OptRouterAlert, 4, 0, 0,
		0x5e, 3, 9, // unknown: skipped
		IPv4OptLSRR, 7, 8, 10, 0, 0, 1,
		IPv4OptEnd, 0xff, 0xff,
	}
	var o IPv4Options
	require.Equal(t, OK, ParseIPv4Options(b, &o))
	require.Equal(t, IPv4Options{SourceRoute: 43, RecordRoute: 21, Timestamp: 28, RouterAlert: true}, o)
	require.Equal(t, OK, ParseIPv4Options(nil, &o))
	require.Equal(t, IPv4Options{}, o)
}

// TestRFC1122_3_2_1_8_BadOptions: each has its place for the pointer of the
// parameter problem.
func TestRFC1122_3_2_1_8_BadOptions(t *testing.T) {
	for name, c := range map[string]struct {
		b   []byte
		bad uint8
	}{
		"no length":              {[]byte{1, 7}, 21},
		"length 0":               {[]byte{7, 0, 4, 0}, 21},
		"length 1":               {[]byte{0x5e, 1, 4, 0}, 21},
		"length beyond the end":  {[]byte{1, 0x5e, 4, 0}, 22},
		"route without pointer":  {[]byte{7, 2, 0, 0}, 21},
		"route of half a word":   {[]byte{7, 5, 4, 0, 0, 0}, 21},
		"route pointer too low":  {[]byte{131, 7, 3, 0, 0, 0, 0}, 22},
		"route pointer crooked":  {[]byte{137, 7, 5, 0, 0, 0, 0}, 22},
		"two source routes":      {[]byte{131, 3, 4, 137, 3, 4, 0, 0}, 23},
		"timestamp too short":    {[]byte{68, 3, 5, 0}, 21},
		"timestamp pointer low":  {[]byte{68, 4, 4, 0}, 22},
		"router alert too short": {[]byte{148, 3, 0, 0}, 21},
	} {
		t.Run(name, func(t *testing.T) {
			var o IPv4Options
			require.Equal(t, FaultIPv4Option, ParseIPv4Options(c.b, &o))
			require.Equal(t, c.bad, o.Bad)
		})
	}
}
