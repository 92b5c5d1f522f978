package offload

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// frame makes the next frame; nil: there is no buffer.
func (c *cutter) frame(first, last bool) *pbuf.Pbuf {
	n := min(c.mss, c.left)
	var f *pbuf.Pbuf
	var sum uint16
	// A reference takes a small buffer, as do the headers: what fits into one
	// with them is copied.
	if h := len(c.hdr); c.ref && n > pbuf.SmallRoom-h {
		f, sum = c.refer(n)
		if f == nil {
			return nil
		}
	} else {
		if f = c.pool.Alloc(pbuf.LayerLink, h+n, pbuf.KindRAM); f == nil {
			return nil
		}
		b := f.Payload()
		copy(b, c.hdr)
		sum = c.copy(b[h:])
		c.copied += n
	}
	f.Meta, f.Time = c.p.Meta, c.p.Time
	f.Flags, f.SegSize = c.flags, 0
	f.L3Len -= uint8(c.jumbo)
	c.left -= n
	c.finish(f.Payload()[:len(c.hdr)], n, sum, c.takeFlags(first, last))
	return f
}

// takeFlags gives the TCP flags of the next segment.
func (c *cutter) takeFlags(first, last bool) header.TCPFlags {
	flags := c.tcpFlags
	if !first {
		flags &^= header.TCPCwr
	}
	if !last {
		flags &^= header.TCPFin | header.TCPPsh
	}
	return flags
}

// finish fills in the fields of the headers b in front of n bytes of payload
// that have the given sum.
func (c *cutter) finish(b []byte, n int, sum uint16, flags header.TCPFlags) {
	l4Len := len(b) - c.l4 + n
	if c.v4 {
		ip := (*header.IPv4)(b[c.l3:])
		total := c.l4 - c.l3 + l4Len
		ip.SetTotalLen(uint16(total))
		ip.SetID(c.id)
		if c.sumIP {
			s := header.CombineChecksum(c.ipSum, uint16(total))
			ip.SetChecksum(^header.CombineChecksum(s, c.id))
		}
		c.id++
	} else {
		(*header.IPv6)(b[c.l3:]).SetPayloadLen(uint16(c.l4 - c.l3 - header.IPv6Len + l4Len))
	}
	pseudo := lengthSum(l4Len)
	if c.tcp {
		tcp := (*header.TCP)(b[c.l4:])
		tcp.SetSeq(c.seq)
		tcp.SetFlags(flags)
		if c.sumL4 {
			s := uint32(c.l4Sum) + uint32(pseudo) + uint32(sum) + uint32(c.seq>>16) + uint32(c.seq&0xffff) + uint32(flags)
			tcp.SetChecksum(^fold32(s))
		} else {
			tcp.SetChecksum(header.CombineChecksum(c.pseudo, pseudo))
		}
		c.seq = c.seq.Add(uint32(n))
		return
	}
	udp := b[c.l4:]
	binary.BigEndian.PutUint16(udp[udpLenOff:], uint16(l4Len))
	switch {
	case c.noCsum:
	case c.sumL4:
		s := fold32(uint32(c.l4Sum) + uint32(pseudo) + uint32(sum) + uint32(l4Len))
		putSum(udp, udpCsumOff, header.UDPChecksum(s))
	default:
		putSum(udp, udpCsumOff, header.CombineChecksum(c.pseudo, pseudo))
	}
}

// fold32 reduces a sum of a few 16-bit sums to 16 bits.
func fold32(s uint32) uint16 {
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}

// here returns the bytes that the payload goes on with, up to n and at least
// one; there are some left.
func (c *cutter) here(n int) []byte {
	for c.off >= c.src.Len() {
		c.off -= c.src.Len()
		c.src = c.src.Next()
	}
	b := c.src.Payload()[c.off:]
	return b[:min(n, len(b))]
}

// copy fills dst with the payload that comes next and returns its sum, if that
// is asked for. A part at an odd offset counts with its bytes swapped (RFC 1071
// 2 (B)).
func (c *cutter) copy(dst []byte) (sum uint16) {
	for done := 0; done < len(dst); {
		b := c.here(len(dst) - done)
		if c.sumL4 {
			part := header.ChecksumCopy(dst[done:], b, 0)
			if done&1 != 0 {
				part = header.ChecksumOdd(part)
			}
			sum = header.CombineChecksum(sum, part)
		} else {
			copy(dst[done:], b)
		}
		done += len(b)
		c.off += len(b)
	}
	return sum
}

// refer makes a frame of headers and references to the next n bytes of payload,
// and returns it with their sum, if that is asked for. Nil: there is no buffer.
func (c *cutter) refer(n int) (*pbuf.Pbuf, uint16) {
	f := c.pool.Alloc(pbuf.LayerLink, len(c.hdr), pbuf.KindRAM)
	if f == nil {
		return nil, 0
	}
	copy(f.Payload(), c.hdr)
	var chain pbuf.Builder
	chain.Add(f)
	sum := uint16(0)
	for done := 0; done < n; {
		b := c.here(n - done)
		q := c.src.Slice(c.off, len(b))
		if q == nil {
			chain.Finish().Free()
			return nil, 0
		}
		chain.Add(q)
		if c.sumL4 {
			part := header.Checksum(b, 0)
			if done&1 != 0 {
				part = header.ChecksumOdd(part)
			}
			sum = header.CombineChecksum(sum, part)
		}
		done += len(b)
		c.off += len(b)
	}
	return chain.Finish(), sum
}
