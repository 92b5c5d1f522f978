package header

import (
	"strconv"
	"testing"
)

// sink keeps results alive.
var sink uint64

// sizes are a small packet, a full segment, and the longest.
var sizes = []int{64, 1460, 65535}

func BenchmarkChecksum(b *testing.B) {
	buf := randomBytes(65535, 1)
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			s := uint16(0)
			for b.Loop() {
				s += Checksum(buf[:n], 0)
			}
			sink += uint64(s)
		})
	}
}

func BenchmarkChecksumCopy(b *testing.B) {
	src, dst := randomBytes(65535, 1), make([]byte, 65535)
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			s := uint16(0)
			for b.Loop() {
				s += ChecksumCopy(dst, src[:n], 0)
			}
			sink += uint64(s)
		})
	}
}

// BenchmarkSums compares the implementations, called through a variable.
func BenchmarkSums(b *testing.B) {
	buf := randomBytes(65535, 1)
	for i := range sums {
		f := &sums[i]
		for _, n := range sizes {
			if n < f.min || n > f.max {
				continue
			}
			b.Run(f.name+"/"+strconv.Itoa(n), func(b *testing.B) {
				b.SetBytes(int64(n))
				s := uint16(0)
				for b.Loop() {
					s += f.sum(buf[:n], 0)
				}
				sink += uint64(s)
			})
		}
	}
}

// BenchmarkCopies is the same for those that copy.
func BenchmarkCopies(b *testing.B) {
	src, dst := randomBytes(65535, 1), make([]byte, 65535)
	for i := range copies {
		f := &copies[i]
		for _, n := range sizes {
			b.Run(f.name+"/"+strconv.Itoa(n), func(b *testing.B) {
				b.SetBytes(int64(n))
				s := uint16(0)
				for b.Loop() {
					s += f.sum(dst, src[:n], 0)
				}
				sink += uint64(s)
			})
		}
	}
}

// benchPacket is a frame with TCP over IPv4 and timestamps.
func benchPacket(b *testing.B) []byte {
	b.Helper()
	f := make([]byte, EthernetLen+IPv4Len+32+1448)
	(*Ethernet)(f).Encode(macA, macB, EtherTypeIPv4)
	(*IPv4)(f[14:]).Encode(&IPv4Fields{
		TTL: 64, Protocol: ProtoTCP, TotalLen: 1500, Src: addr(b, "10.0.0.1"), Dst: addr(b, "10.0.0.2"),
	})
	(*TCP)(f[34:]).Encode(&TCPFields{SrcPort: 1000, DstPort: 80, HdrLen: 32, Flags: TCPAck, Window: 500})
	PutTimestamp(f[54:], 1, 2)
	return f
}

// BenchmarkGates is what the headers of one segment cost to check and read.
func BenchmarkGates(b *testing.B) {
	f := benchPacket(b)
	b.Run("tcp4", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			eth, f1 := ParseEthernet(f)
			ip, hdrLen, total, f2 := ParseIPv4(f[EthernetLen:])
			seg := f[EthernetLen+hdrLen : EthernetLen+total]
			tcp, off, f3 := ParseTCP(seg)
			val, ecr, ok := ParseTimestampFast(seg[TCPLen:off])
			if f1|f2|f3 != OK || !ok || eth.Type() != EtherTypeIPv4 || !ip.VerifyChecksum(f[EthernetLen:EthernetLen+hdrLen]) {
				b.Fatal("refused")
			}
			sink += uint64(tcp.Seq()) + uint64(tcp.Ports()) + uint64(val+ecr) + ip.Src().Lo() + ip.Dst().Lo()
		}
	})
	b.Run("ipv4", func(b *testing.B) {
		for b.Loop() {
			_, hdrLen, total, fault := ParseIPv4(f[EthernetLen:])
			sink += uint64(hdrLen) + uint64(total) + uint64(fault)
		}
	})
	b.Run("tcp", func(b *testing.B) {
		for b.Loop() {
			_, hdrLen, fault := ParseTCP(f[34:])
			sink += uint64(hdrLen) + uint64(fault)
		}
	})
}

func BenchmarkTCPOptions(b *testing.B) {
	ts := make([]byte, 12)
	PutTimestamp(ts, 1, 2)
	syn := []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}
	sack := make([]byte, 40)
	n := PutTimestamp(sack, 1, 2)
	n += PutSACK(sack[n:], make([]SACKBlock, 3))
	for name, opts := range map[string][]byte{"timestamp": ts, "syn": syn, "sack": sack[:n]} {
		b.Run(name, func(b *testing.B) {
			var o TCPOptions
			for b.Loop() {
				sink += uint64(ParseTCPOptions(opts, &o))
			}
		})
	}
	b.Run("fast", func(b *testing.B) {
		for b.Loop() {
			v, _, _ := ParseTimestampFast(ts)
			sink += uint64(v)
		}
	})
}

// BenchmarkEncode is what the headers of one segment cost to write.
func BenchmarkEncode(b *testing.B) {
	f := benchPacket(b)
	src, dst := addr(b, "10.0.0.1"), addr(b, "10.0.0.2")
	b.ReportAllocs()
	seq := Seq(0)
	for b.Loop() {
		(*TCP)(f[34:]).Encode(&TCPFields{SrcPort: 1000, DstPort: 80, Seq: seq, HdrLen: 32, Flags: TCPAck, Window: 500})
		PutTimestamp(f[54:], uint32(seq), 2)
		(*IPv4)(f[14:]).Encode(&IPv4Fields{TTL: 64, Protocol: ProtoTCP, TotalLen: 1500, Src: src, Dst: dst})
		(*Ethernet)(f).Encode(macA, macB, EtherTypeIPv4)
		seq++
	}
}

// BenchmarkPasses is what is done to the payload of each frame between two stacks
// that sum in software, as often as there are frames in flight: copied and summed
// from a block of the application's, copied by a wire, and summed.
func BenchmarkPasses(b *testing.B) {
	const mss, frame, stride, tx, rx = 1460, 1514, 2496, 22, 64
	src, out, in := make([]byte, 16<<10), make([]byte, stride*tx), make([]byte, stride*rx)
	for name, pass := range map[string]func(i int){
		"copysum": func(i int) { ChecksumCopy(out[i%tx*stride+384:][:mss], src[i%11*mss:][:mss], 0) },
		"copy":    func(i int) { copy(in[i%rx*stride+384:][:frame], out[i%tx*stride+384-54:]) },
		"sum":     func(i int) { Checksum(in[i%rx*stride+384+34:][:frame-34], 0) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(mss)
			for i := range b.N {
				pass(i)
			}
		})
	}
}
