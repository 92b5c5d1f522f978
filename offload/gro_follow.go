package offload

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Most frames of a bulk transfer follow the one before: they are of the same flow
// and go on where it ends. For these one comparison of all headers with those of
// the packet under way, in wide words, stands for parsing and looking up.

const (
	// groWide is how many bytes of a frame are compared at most: the longest
	// headers, in whole words.
	groWide = 128
	// groOdd are the flags of frames for which follow is not made.
	groOdd = pbuf.RxVLAN | pbuf.RxIPCsumBad | pbuf.RxL4CsumBad | pbuf.RxLRO
)

// groMask says which bits of the headers of two frames have to be equal.
type groMask struct {
	l3, l4, data int // what it is for
	v4           bool
	words        [groWide / 8]uint64
}

// fit makes the mask that for the headers of f, if it is another.
func (m *groMask) fit(f *groFlow) {
	if m.l3 == f.l3 && m.l4 == f.l4 && m.data == f.data && m.v4 == f.v4 {
		return
	}
	m.l3, m.l4, m.data, m.v4 = f.l3, f.l4, f.data, f.v4
	var b [groWide]byte
	for i := range b[:f.data] {
		b[i] = 0xff
	}
	if f.v4 {
		clear(b[f.l3+2 : f.l3+6])   // total length, identification
		clear(b[f.l3+10 : f.l3+12]) // checksum
	} else {
		clear(b[f.l3+4 : f.l3+6]) // payload length
	}
	clear(b[f.l4+tcpSeqOff : f.l4+tcpSeqOff+4])
	clear(b[f.l4+tcpCsumOff : f.l4+tcpCsumOff+2])
	b[f.l4+tcpFlagsOff] = ^byte(header.TCPFin | header.TCPPsh)
	for i := range m.words {
		m.words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// same reports whether the headers of two frames, of at least groWide bytes, are
// the same by the mask.
func (m *groMask) same(a, b []byte) bool {
	x, y := (*[groWide]byte)(a), (*[groWide]byte)(b)
	le, w := binary.LittleEndian, &m.words
	d := (le.Uint64(x[0:8])^le.Uint64(y[0:8]))&w[0] | (le.Uint64(x[8:16])^le.Uint64(y[8:16]))&w[1] |
		(le.Uint64(x[16:24])^le.Uint64(y[16:24]))&w[2] | (le.Uint64(x[24:32])^le.Uint64(y[24:32]))&w[3] |
		(le.Uint64(x[32:40])^le.Uint64(y[32:40]))&w[4] | (le.Uint64(x[40:48])^le.Uint64(y[40:48]))&w[5] |
		(le.Uint64(x[48:56])^le.Uint64(y[48:56]))&w[6]
	for i := 7; 8*i < m.data && i < len(w); i++ {
		d |= (le.Uint64(x[8*i:]) ^ le.Uint64(y[8*i:])) & w[i]
	}
	return d == 0
}

// lead makes f, whose packet has just begun, the one that frames may follow.
func (g *GRO) lead(f *groFlow) {
	g.cur = nil
	if f.udp || len(f.b) < groWide || f.p.Flags&groOdd != 0 || header.TCPFlags(f.b[f.l4+tcpFlagsOff])&header.TCPCwr != 0 {
		return
	}
	g.cur = f
	g.mask.fit(f)
	f.sum = f.pseudo(f.b, 0)
	if f.v4 {
		h := *(*header.IPv4)(f.b[f.l3:])
		h.SetTotalLen(0)
		h.SetID(0)
		h.SetChecksum(0)
		f.sumIP = header.Checksum(h[:header.IPv4Len], 0)
	}
}

// follow takes a frame that continues the packet that was under way last, and
// reports whether it did. Otherwise nothing was done.
func (g *GRO) follow(p *pbuf.Pbuf) bool {
	f := g.cur
	if f == nil || f.count == 0 {
		return false
	}
	b := p.Payload()
	n := len(b) - f.data
	if n <= 0 || n > f.seg || n > f.room || len(b) < groWide || len(b) != p.TotLen() || p.Flags&groOdd != 0 || p.Shared() ||
		!g.mask.same(b, f.b) {
		return false
	}
	tcp := (*header.TCP)(b[f.l4:])
	if tcp.Seq() != f.next || !f.rightIP(b, p) {
		return false
	}
	l4 := b[f.l4:]
	if p.Flags&pbuf.RxL4CsumGood == 0 && header.Checksum(l4, header.CombineChecksum(f.sum, uint16(len(l4)))) != 0xffff {
		return false
	}
	if f.count == 1 && !g.own(f) {
		return false
	}
	ends := tcp.Flags() & (header.TCPFin | header.TCPPsh)
	f.append(p, n, ends)
	if ends != 0 || n < f.seg {
		g.close(f)
	}
	return true
}

// rightIP reports whether length, identification and checksum of the IP header in
// b, which is the same as that of the first frame elsewhere, are those of the frame
// that comes next.
func (f *groFlow) rightIP(b []byte, p *pbuf.Pbuf) bool {
	if !f.v4 {
		return int((*header.IPv6)(b[f.l3:]).PayloadLen()) == len(b)-f.l4
	}
	ip := (*header.IPv4)(b[f.l3:])
	n, id := ip.TotalLen(), ip.ID()
	return int(n) == len(b)-f.l3 && (ip.DontFragment() || id == f.id) && (p.Flags&pbuf.RxIPCsumGood != 0 ||
		fold32(uint32(f.sumIP)+uint32(n)+uint32(id)+uint32(ip.Checksum())) == 0xffff)
}
