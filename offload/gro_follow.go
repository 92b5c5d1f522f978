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
	want         [groWide / 8]uint64 // those bits, of the packet under way
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

// take keeps the headers that others are compared with.
func (m *groMask) take(b []byte) {
	x := (*[groWide]byte)(b)
	for i := range m.want {
		m.want[i] = binary.LittleEndian.Uint64(x[8*i:]) & m.words[i]
	}
}

// groFirst is how many words are compared in any case: the headers of IPv4 and TCP
// with timestamps.
const groFirst = 9

// same reports whether headers are those that take has kept, by the mask.
func (m *groMask) same(x *[groWide]byte) bool {
	le, w, v := binary.LittleEndian, &m.words, &m.want
	d := (le.Uint64(x[0:8])&w[0] ^ v[0]) | (le.Uint64(x[8:16])&w[1] ^ v[1]) | (le.Uint64(x[16:24])&w[2] ^ v[2]) |
		(le.Uint64(x[24:32])&w[3] ^ v[3]) | (le.Uint64(x[32:40])&w[4] ^ v[4]) | (le.Uint64(x[40:48])&w[5] ^ v[5]) |
		(le.Uint64(x[48:56])&w[6] ^ v[6]) | (le.Uint64(x[56:64])&w[7] ^ v[7]) | (le.Uint64(x[64:72])&w[8] ^ v[8])
	for i := groFirst; 8*i < m.data && i < len(w); i++ {
		d |= le.Uint64(x[8*i:])&w[i] ^ v[i]
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
	g.mask.take(f.b)
	f.sum = f.pseudo(f.b, 0)
	if f.v4 {
		h := *(*header.IPv4)(f.b[f.l3:])
		h.SetTotalLen(0)
		h.SetID(0)
		h.SetChecksum(0)
		f.sumIP = header.Checksum(h[:header.IPv4Len], 0)
	}
}

// follow takes the frames at the front of ps that continue the packet that was under
// way last, and returns how many those were. With the next nothing was done.
func (g *GRO) follow(ps []*pbuf.Pbuf) int {
	f := g.cur
	if f == nil || f.count == 0 {
		return 0
	}
	data, l4, seg := f.data, f.l4, f.seg
	for i, p := range ps {
		b := p.Payload()
		n := len(b) - data
		if n <= 0 || n > seg || n > f.room || len(b) < groWide || p.Next() != nil || p.Flags&groOdd != 0 || p.Shared() ||
			!g.mask.same((*[groWide]byte)(b)) {
			return i
		}
		tcp := (*header.TCP)(b[l4:])
		if tcp.Seq() != f.next || !f.rightIP(b, p) {
			return i
		}
		t := b[l4:]
		if p.Flags&pbuf.RxL4CsumGood == 0 && header.Checksum(t, header.CombineChecksum(f.sum, uint16(len(t)))) != 0xffff {
			return i
		}
		if f.count == 1 {
			if !g.own(f) {
				return i
			}
			f.chain.Add(f.p)
		}
		f.chain.AddPart(p, data)
		f.count++
		f.id++
		f.room -= n
		f.next = f.next.Add(uint32(n))
		if ends := tcp.Flags() & (header.TCPFin | header.TCPPsh); ends != 0 || n < seg {
			f.ends |= ends
			g.close(f)
			return i + 1
		}
	}
	return len(ps)
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
