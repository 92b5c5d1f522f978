package offload

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// MustCut reports whether p asks to be cut (TxTSO, TxUSO) and a port with have
// can't do it, so that a Segmenter has to.
func MustCut(p *pbuf.Pbuf, have Caps) bool {
	return p.Flags&(pbuf.TxTSO|pbuf.TxUSO) != 0 && !portCuts(p, have)
}

// portCuts is the rest of MustCut.
func portCuts(p *pbuf.Pbuf, have Caps) bool {
	l3, l4 := int(p.L2Len), int(p.L2Len)+int(p.L3Len)
	v6 := p.GetAt(l3)>>4 == 6
	most := l3 + MaxTSO
	if p.Flags&pbuf.TxTSO != 0 && have.Has(BigTCP) {
		most = l3 + MaxBig
	}
	if v6 {
		most += header.IPv6Len
	}
	if p.TotLen() > most {
		return false
	}
	if p.Flags&pbuf.TxUSO != 0 {
		return have.Has(USO) && SegCount(p) <= MaxUSO && p.Flags&pbuf.TxUDPCsum != 0
	}
	want := TSO4
	if v6 {
		want = TSO6
	}
	if header.TCPFlags(p.GetAt(l4+tcpFlagsOff))&header.TCPCwr != 0 {
		want |= TSOECN
	}
	return have.Has(want)
}

// SegCount is how many frames p is once it is cut at SegSize: at least 1, and 1
// without a SegSize.
func SegCount(p *pbuf.Pbuf) int {
	n := p.TotLen() - int(p.L2Len) - int(p.L3Len) - int(p.L4Len)
	if n <= int(p.SegSize) || p.SegSize == 0 {
		return 1
	}
	return (n + int(p.SegSize) - 1) / int(p.SegSize)
}

// SegNetLen is the length in bytes of the longest IP packet that p is once it
// is cut, to be compared with an MTU.
func SegNetLen(p *pbuf.Pbuf) int {
	n := p.TotLen() - int(p.L2Len)
	if p.Flags&(pbuf.TxTSO|pbuf.TxUSO|pbuf.RxLRO) != 0 && p.SegSize != 0 {
		hdr := int(p.L3Len) + int(p.L4Len)
		if n > MaxTSO && p.L3Len == header.IPv6Len+header.IPv6JumboLen { // frames have none
			hdr -= header.IPv6JumboLen
		}
		n = min(n, hdr+int(p.SegSize))
	}
	return n
}

// maxHeaders is the longest link, network and transport header that a packet to
// be cut can have, in bytes.
const maxHeaders = 256

// Offsets in headers that are written without a view, in bytes.
const (
	tcpSeqOff   = 4
	tcpFlagsOff = 13
	udpLenOff   = 4
)

// SegmentStats counts for a Segmenter.
type SegmentStats struct {
	Packets uint64 // packets that were cut
	Frames  uint64 // frames that were made of them
	Copied  uint64 // bytes of payload copied; the rest is referenced
	NoBuf   uint64 // packets not cut for want of a buffer
	NoRoom  uint64 // packets not cut because out is too short
	Refused uint64 // packets that can't be cut: headers, lengths, SegSize
}

// Segmenter cuts big TCP segments and UDP packets into frames, for ports that
// can't. It belongs to one thread. The zero Segmenter is ready.
type Segmenter struct {
	n   SegmentStats
	hdr [maxHeaders]byte // headers of the packet that is being cut
}

// Stats are the Segmenter's counters.
func (g *Segmenter) Stats() SegmentStats { return g.n }

// Segment cuts p into frames with SegSize bytes of payload each, the last with
// what is left, stores them in out and returns how many: SegCount(p). They are
// the caller's. p stays the caller's too and is not changed, whatever comes of
// it. ok is false, and there are no frames, if a buffer can't be had, out is too
// short or p can't be cut; each is counted.
//
// p is a complete Ethernet frame, with or without VLAN tags, in buffers of any
// lengths, with TxTSO or TxUSO set, and SegSize, L2Len, L3Len and L4Len. The
// checksum field has the sum of the pseudo-header, not complemented, as for
// FinishTx, with the length of all the data. The length in the IP header isn't
// looked at, so it may be longer than 64 KiB. The options header that makes a
// jumbogram of it (RFC 2675), eight bytes behind the IPv6 header, is left out of
// the frames.
//
// Each frame has the headers of p with its own lengths and
//
//   - IPv4: the identification that of p, plus one a frame (RFC 791 3.1), and
//     the header's checksum;
//   - TCP: its sequence number, FIN and PSH on the last only, CWR on the first
//     only (RFC 3168 6.1.2), all options, and the checksum (TxTSO asks for it);
//   - UDP: the checksum if TxUDPCsum is set, else none, which is IPv4's alone.
//
// Checksums that have includes are left to the port, with their order in the
// frame's Flags. Other Meta and Time are those of p.
//
// If have includes MultiSeg, payload is not copied: frames are chains of a
// buffer with headers and references to the memory of p. It must not be changed
// before the last frame is freed, while p itself may be freed at once. Else
// each frame is one buffer, copied and summed in one pass. Buffers come from the
// pool of p's holder.
func (g *Segmenter) Segment(p *pbuf.Pbuf, have Caps, out []*pbuf.Pbuf) (n int, ok bool) {
	var c cutter
	if !c.start(g.hdr[:], p, have) {
		g.n.Refused++
		return 0, false
	}
	if n = SegCount(p); n > len(out) {
		g.n.NoRoom++
		return 0, false
	}
	out = out[:n]
	for i := range out {
		f := c.frame(i == 0, i == n-1)
		if f == nil {
			for _, f := range out[:i] {
				f.Free()
			}
			g.n.NoBuf++
			return 0, false
		}
		out[i] = f
	}
	g.n.Packets++
	g.n.Frames += uint64(n)
	g.n.Copied += uint64(c.copied)
	return n, true
}

// cutter is a packet that is being cut.
type cutter struct {
	hdr    []byte // headers, with zero in the fields that differ or are summed apart
	l3, l4 int    // offsets in hdr
	mss    int
	left   int // bytes of payload not cut yet

	src *pbuf.Pbuf // where they start: buffer, and offset in it
	off int

	pool   *pbuf.Pool
	p      *pbuf.Pbuf
	flags  pbuf.Flags // of the frames
	copied int

	jumbo    int // bytes of headers of p that frames don't have
	v4, tcp  bool
	ref      bool // don't copy
	sumL4    bool // the transport checksum is ours
	sumIP    bool // the IPv4 checksum is ours
	noCsum   bool // UDP without a checksum
	tcpFlags header.TCPFlags
	seq      header.Seq
	id       uint16
	ipSum    uint16 // of hdr[l3:l4]
	l4Sum    uint16 // of hdr[l4:] and the pseudo-header without the length
	pseudo   uint16 // of the pseudo-header without the length
	midIP    uint16 // ipSum and l4Sum with what InPlace's template has
	midL4    uint16
}

// start makes ready to cut p; hdr is for the headers. False: p can't be cut.
func (c *cutter) start(hdr []byte, p *pbuf.Pbuf, have Caps) bool {
	c.l3 = int(p.L2Len)
	c.l4 = c.l3 + int(p.L3Len)
	n := c.l4 + int(p.L4Len)
	c.mss, c.left = int(p.SegSize), p.TotLen()-n
	c.tcp = p.Flags&pbuf.TxTSO != 0
	if n > len(hdr) || c.left < 0 || c.mss == 0 || c.l3 < header.EthernetLen ||
		c.tcp == (p.Flags&pbuf.TxUSO != 0) || c.l4-c.l3 < header.IPv4Len {
		return false
	}
	c.hdr = hdr[:n:n]
	p.CopyPartial(c.hdr, 0)
	c.dropJumbo()
	c.p, c.src, c.off = p, p, n
	c.pool = p.Pool()
	c.ref = have.Has(MultiSeg)
	c.flags = p.Flags &^ (txCsumFlags | pbuf.TxTSO | pbuf.TxUSO | pbuf.RxLRO | pbuf.RxL4Partial)
	return c.startIP(have) && c.startL4(have)
}

// dropJumbo takes the hop-by-hop options header of a jumbogram out of hdr: the
// frames are none.
func (c *cutter) dropJumbo() {
	at := c.l3 + header.IPv6Len
	if c.l4 != at+header.IPv6JumboLen || len(c.hdr) < c.l4 || c.hdr[c.l3]>>4 != 6 {
		return
	}
	ip, opts := (*header.IPv6)(c.hdr[c.l3:]), (*header.IPv6Jumbo)(c.hdr[at:])
	if !ip.IsJumbo() || opts.PayloadLen() <= MaxTSO {
		return
	}
	ip.SetNextHeader(opts.NextHeader())
	c.jumbo = header.IPv6JumboLen
	c.l4 = at
	c.hdr = c.hdr[:at+copy(c.hdr[at:], c.hdr[at+header.IPv6JumboLen:])]
}

// startIP takes what differs out of the IP header.
func (c *cutter) startIP(have Caps) bool {
	b := c.hdr[c.l3:c.l4]
	// The longest frame must fit the length field, which for IPv6 does not
	// count the fixed header.
	most := MaxTSO - len(c.hdr) + c.l3
	switch b[0] >> 4 {
	case 4:
		c.v4 = true
		ip := (*header.IPv4)(b)
		if ip.HdrLen() != len(b) {
			return false
		}
		c.id = ip.ID()
		ip.SetID(0)
		ip.SetTotalLen(0)
		ip.SetChecksum(0)
		if c.sumIP = !have.Has(TxIPCsum); c.sumIP {
			c.ipSum = header.Checksum(b, 0)
		} else {
			c.flags |= pbuf.TxIPCsum
		}
	case 6:
		if len(b) < header.IPv6Len {
			return false
		}
		most += header.IPv6Len
		(*header.IPv6)(b).SetPayloadLen(0)
	default:
		return false
	}
	return min(c.mss, c.left) <= most
}

// startL4 takes what differs out of the transport header, and the length out of
// the sum of the pseudo-header.
func (c *cutter) startL4(have Caps) bool {
	b := c.hdr[c.l4:]
	want, order, field := TxTCPCsum, pbuf.TxTCPCsum, tcpCsumOff
	if c.tcp {
		if len(b) < header.TCPLen {
			return false
		}
		tcp := (*header.TCP)(b)
		if tcp.HdrLen() != len(b) {
			return false
		}
		c.seq, c.tcpFlags = tcp.Seq(), tcp.Flags()
		tcp.SetSeq(0)
		tcp.SetFlags(0)
	} else {
		if len(b) != header.UDPLen {
			return false
		}
		want, order, field = TxUDPCsum, pbuf.TxUDPCsum, udpCsumOff
		(*header.UDP)(b).SetLength(0)
		c.noCsum = c.p.Flags&pbuf.TxUDPCsum == 0
	}
	c.pseudo = header.CombineChecksum(binary.BigEndian.Uint16(b[field:]), ^lengthSum(len(b)+c.left))
	putSum(b, field, 0)
	if c.noCsum {
		return c.v4 // RFC 8200 8.1: over IPv6 there must be one
	}
	if c.sumL4 = !have.Has(want); c.sumL4 {
		c.l4Sum = header.Checksum(b, c.pseudo)
	} else {
		c.flags |= order
	}
	return true
}

// lengthSum is what a length adds to the sum of a pseudo-header.
func lengthSum(n int) uint16 { return header.CombineChecksum(uint16(n>>16), uint16(n)) }
