package header

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainDatagram is a frame made by the single headers' encoders, with fields of
// r's choice.
func plainDatagram(r *rand.Rand, data int) ([]byte, *UDP4Fields) {
	b := make([]byte, UDP4Len+data)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	dst, src := MAC{2, 1, 2, 3, 4, byte(r.Uint32())}, MAC{2, 5, byte(r.Uint32()), 7, 8, 9}
	link := MakeLink(dst, src)
	f := &UDP4Fields{
		Link: &link, Src: r.Uint32(), Dst: r.Uint32(), Ports: r.Uint32(), Len: uint32(UDPLen + data),
		ID: uint16(r.Uint32()), TOS: uint8(r.Uint32()), TTL: uint8(r.Uint32()), Sum: uint64(Checksum(b[UDP4Len:], 0)),
	}
	(*Ethernet)(b).Encode(dst, src, EtherTypeIPv4)
	(*IPv4)(b[14:]).Encode(&IPv4Fields{
		TOS: f.TOS, TotalLen: uint16(len(b) - EthernetLen), ID: f.ID, TTL: f.TTL, Protocol: ProtoUDP,
		Src: AddrFrom4Uint(f.Src), Dst: AddrFrom4Uint(f.Dst),
	})
	h := (*UDP)(b[34:])
	h.Encode(&UDPFields{SrcPort: uint16(f.Ports >> 16), DstPort: uint16(f.Ports), Length: uint16(f.Len)})
	h.SetChecksum(UDPChecksum(Checksum(b[34:], PseudoHeader4(AddrFrom4Uint(f.Src), AddrFrom4Uint(f.Dst), ProtoUDP, uint16(f.Len)))))
	return b, f
}

func TestUDP4EncodesAsTheSingleHeadersDo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b, f := plainDatagram(r, r.IntN(100))
		got := append([]byte(nil), b...)
		clear(got[:UDP4Len])
		(*UDP4)(got).Encode(f)
		require.Equal(t, b, got)

		f.Partial = true
		(*UDP4)(got).Encode(f)
		want := PseudoHeader4(AddrFrom4Uint(f.Src), AddrFrom4Uint(f.Dst), ProtoUDP, uint16(f.Len))
		require.Equal(t, want, (*UDP)(got[34:]).Checksum(), "the pseudo-header's sum for an offload")
	}
}

// TestUDP4_RFC768_SumZeroIsSentAsOnes makes the data complete a sum of all ones.
func TestUDP4_RFC768_SumZeroIsSentAsOnes(t *testing.T) {
	b, f := plainDatagram(rand.New(rand.NewPCG(1, 2)), 2)
	f.Sum = 0
	(*UDP4)(b).Encode(f)
	f.Sum = uint64((*UDP4)(b).Checksum()) // what is missing to 0xffff
	(*UDP4)(b).Encode(f)
	require.Equal(t, uint16(0xffff), (*UDP4)(b).Checksum())
}

func TestUDP4ReadsWhatWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b, f := plainDatagram(r, r.IntN(100))
		padded := append(append([]byte(nil), b...), make([]byte, r.IntN(20))...)
		h, total, n, ok := ParseUDP4(padded)
		require.True(t, ok)
		require.Equal(t, len(b)-EthernetLen, total)
		require.Equal(t, int(f.Len), n)
		require.Equal(t, (*Ethernet)(b).Dst().Uint64(), h.Plain().DstMAC())
		require.Equal(t, []uint32{f.Src, f.Dst, f.Ports}, []uint32{h.Plain().Src(), h.Plain().Dst(), h.Ports()})
		require.Equal(t, uint16(0xffff), h.Plain().SumIPv4())
		require.Equal(t, uint16(0xffff), Checksum(b[34:34+n], h.Plain().PseudoSum(n)))
		b[14+r.IntN(20)] ^= 1 << r.IntN(8)
		require.NotEqual(t, uint16(0xffff), (*Plain4)(b).SumIPv4())
	}
}

func TestUDP4LeavesAllElseToTheGates(t *testing.T) {
	whole, _ := plainDatagram(rand.New(rand.NewPCG(5, 6)), 10)
	for name, spoil := range map[string]func(b []byte) []byte{
		"IPv6":                      func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b },
		"IP options":                func(b []byte) []byte { b[14] = 0x46; return b },
		"a first fragment":          func(b []byte) []byte { b[20] |= 0x20; return b },
		"a later fragment":          func(b []byte) []byte { b[21] = 1; return b },
		"TCP":                       func(b []byte) []byte { b[23] = 6; return b },
		"longer than the frame":     func(b []byte) []byte { b[17]++; return b },
		"UDP longer than IP":        func(b []byte) []byte { b[39]++; return b },
		"UDP shorter than itself":   func(b []byte) []byte { b[39] = 7; return b },
		"IP shorter than its own":   func(b []byte) []byte { b[17] = 19; return b },
		"a byte short":              func(b []byte) []byte { return b[:len(b)-1] },
		"headers cut":               func(b []byte) []byte { return b[:UDP4Len-1] },
		"nothing":                   func([]byte) []byte { return nil },
		"an IPv4 packet in a 802.3": func(b []byte) []byte { b[12], b[13] = 0, 46; return b },
	} {
		_, _, _, ok := ParseUDP4(spoil(append([]byte(nil), whole...)))
		require.False(t, ok, name)
	}
}

// FuzzUDP4 holds that what the common gate lets through passes the single ones,
// with the same values.
func FuzzUDP4(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{0, 1, 64} {
		b, _ := plainDatagram(r, n)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, total, n, ok := ParseUDP4(b)
		if !ok {
			return
		}
		ip, hdr, all, fault := ParseIPv4(b[EthernetLen:])
		require.Equal(t, OK, fault)
		require.Equal(t, []int{IPv4Len, total}, []int{hdr, all})
		require.Equal(t, ProtoUDP, ip.Protocol())
		require.False(t, ip.IsFragment())
		require.Equal(t, ip.VerifyChecksum(b[14:34]), h.Plain().SumIPv4() == 0xffff)
		_, length, fault := ParseUDP(b[34 : EthernetLen+total])
		require.Equal(t, OK, fault)
		require.Equal(t, n, length)
	})
}
