package header

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainSegment is a frame made by the single headers' encoders, with fields of
// r's choice and data behind n bytes of TCP header.
func plainSegment(r *rand.Rand, n, data int) ([]byte, *TCP4Fields) {
	b := make([]byte, EthernetLen+IPv4Len+n+data)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	dst, src := MAC{2, 1, 2, 3, 4, byte(r.Uint32())}, MAC{2, 5, byte(r.Uint32()), 7, 8, 9}
	link := MakeLink(dst, src)
	f := &TCP4Fields{
		Link: &link, Src: r.Uint32(), Dst: r.Uint32(), Ports: r.Uint32(), Seq: Seq(r.Uint32()), Ack: Seq(r.Uint32()),
		Len: uint32(n + data), HdrLen: uint32(n), Flags: TCPFlags(r.Uint32()), TOS: uint8(r.Uint32()), TTL: uint8(r.Uint32()),
		Window: uint16(r.Uint32()), Sum: uint64(Checksum(b[TCP4Len:], 0)),
	}
	(*Ethernet)(b).Encode(dst, src, EtherTypeIPv4)
	(*IPv4)(b[14:]).Encode(&IPv4Fields{
		TOS: f.TOS, TotalLen: uint16(len(b) - EthernetLen), DontFragment: true, TTL: f.TTL, Protocol: ProtoTCP,
		Src: AddrFrom4Uint(f.Src), Dst: AddrFrom4Uint(f.Dst),
	})
	h := (*TCP)(b[34:])
	h.Encode(&TCPFields{
		SrcPort: uint16(f.Ports >> 16), DstPort: uint16(f.Ports), Seq: f.Seq, Ack: f.Ack,
		HdrLen: uint8(n), Flags: f.Flags, Window: f.Window,
	})
	h.SetChecksum(^Checksum(b[34:], PseudoHeader4(AddrFrom4Uint(f.Src), AddrFrom4Uint(f.Dst), ProtoTCP, uint16(f.Len))))
	return b, f
}

func TestTCP4EncodesAsTheSingleHeadersDo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b, f := plainSegment(r, 20+4*r.IntN(11), r.IntN(100))
		got := append([]byte(nil), b...)
		clear(got[:TCP4Len])
		(*TCP4)(got).Encode(f)
		require.Equal(t, b, got)

		f.Partial = true
		(*TCP4)(got).Encode(f)
		want := PseudoHeader4(AddrFrom4Uint(f.Src), AddrFrom4Uint(f.Dst), ProtoTCP, uint16(f.Len))
		require.Equal(t, want, (*TCP)(got[34:]).Checksum(), "the pseudo-header's sum for an offload")
	}
}

func TestTCP4ReadsWhatWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		n := 20 + 4*r.IntN(11)
		b, f := plainSegment(r, n, r.IntN(100))
		padded := append(append([]byte(nil), b...), make([]byte, r.IntN(20))...)
		h, total, hdrLen, ok := ParseTCP4(padded)
		require.True(t, ok)
		require.Equal(t, len(b)-EthernetLen, total)
		require.Equal(t, n, hdrLen)
		require.Equal(t, (*Ethernet)(b).Dst().Uint64(), h.Plain().DstMAC())
		require.Equal(t, f.Src, h.Plain().Src())
		require.Equal(t, f.Dst, h.Plain().Dst())
		require.Equal(t, f.Seq, h.TCP().Seq())
		require.Equal(t, uint16(0xffff), h.Plain().SumIPv4())
		require.Equal(t, uint16(0xffff), Checksum(b[34:], h.Plain().PseudoSum(total-IPv4Len)))
		b[14+r.IntN(20)] ^= 1 << r.IntN(8)
		require.NotEqual(t, uint16(0xffff), (*Plain4)(b).SumIPv4())
	}
}

func TestTCP4LeavesAllElseToTheGates(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	whole, _ := plainSegment(r, 32, 10)
	for name, spoil := range map[string]func(b []byte) []byte{
		"IPv6":                      func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b },
		"a tag":                     func(b []byte) []byte { b[12] = 0x81; return b },
		"version 5":                 func(b []byte) []byte { b[14] = 0x55; return b },
		"IP options":                func(b []byte) []byte { b[14] = 0x46; return b },
		"a first fragment":          func(b []byte) []byte { b[20] |= 0x20; return b },
		"a later fragment":          func(b []byte) []byte { b[21] = 1; return b },
		"UDP":                       func(b []byte) []byte { b[23] = 17; return b },
		"longer than the frame":     func(b []byte) []byte { b[17]++; return b },
		"shorter than its headers":  func(b []byte) []byte { b[17] = 51; return b },
		"no data offset":            func(b []byte) []byte { b[46] = 0x40; return b },
		"data offset over the data": func(b []byte) []byte { b[46] = 0xf0; return b },
		"a byte short":              func(b []byte) []byte { return b[:len(b)-1] },
		"headers cut":               func(b []byte) []byte { return b[:TCP4Len-1] },
		"nothing":                   func([]byte) []byte { return nil },
	} {
		b := spoil(append([]byte(nil), whole...))
		_, _, _, ok := ParseTCP4(b)
		require.False(t, ok, name)
	}
	for flags, ok := range map[byte]bool{0x40: true, 0x80: true, 0x00: true} { // DF, reserved
		whole[20] = flags
		_, _, _, got := ParseTCP4(whole)
		require.Equal(t, ok, got)
	}
}

func TestTimestampSumIsThatOfTheOption(t *testing.T) {
	var b [TCPTimestampLen]byte
	for _, v := range [][2]uint32{{0, 0}, {1, 2}, {0xffffffff, 0xffffffff}, {0x12345678, 0x9abcdef0}} {
		PutTimestamp(b[:], v[0], v[1])
		require.Equal(t, Checksum(b[:], 0), fold(TimestampSum(v[0], v[1])))
	}
}

// FuzzTCP4 holds that what the common gate lets through passes the single ones,
// with the same values.
func FuzzTCP4(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{20, 32, 60} {
		b, _ := plainSegment(r, n, 3)
		f.Add(b)
		f.Add(b[:len(b)-2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, total, hdrLen, ok := ParseTCP4(b)
		if !ok {
			return
		}
		eth, fault := ParseEthernet(b)
		require.Equal(t, OK, fault)
		require.Equal(t, EtherTypeIPv4, eth.Type())
		ip, n, all, fault := ParseIPv4(b[EthernetLen:])
		require.Equal(t, OK, fault)
		require.Equal(t, IPv4Len, n)
		require.Equal(t, total, all)
		require.Equal(t, ProtoTCP, ip.Protocol())
		require.False(t, ip.IsFragment())
		require.Equal(t, ip.VerifyChecksum(b[14:34]), h.Plain().SumIPv4() == 0xffff)
		_, off, fault := ParseTCP(b[34 : EthernetLen+total])
		require.Equal(t, OK, fault)
		require.Equal(t, hdrLen, off)
	})
}
