package offload_test

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// The oracle is GRO as its documentation says, on plain bytes and with a search
// through all flows: slow, and without anything of the package or of header.

// wire is a frame as the port gives it.
type wire struct {
	b       []byte
	first   int  // bytes in the first buffer
	chained bool // there are more buffers
	flags   pbuf.Flags
	vlan    uint16
}

// whole is a packet as GRO gives it.
type whole struct {
	b          []byte
	lro        bool
	seg        int
	l2, l3, l4 int // if lro
}

// dissected is a frame taken apart by the oracle.
type dissected struct {
	b          []byte
	l2, l3, l4 int // lengths of headers
	v6, udp    bool
	key        string // family, protocol, addresses, ports
	able       bool
	tcpFlags   byte
	same       string // all that must be equal, written down
	seq        uint32
	id         uint16
	df         bool
	data       []byte
	good       bool // checksums
}

const (
	oracleOther = iota
	oracleUnknown
	oracleKnown
)

// dissect takes a frame apart.
func dissect(w wire, udpToo bool) (d dissected, kind int) {
	b := w.b
	d.b = b
	cutOff := func(n int) (int, bool) {
		if w.first >= n {
			return 0, false
		}
		if w.chained {
			return oracleUnknown, true
		}
		return oracleOther, true
	}
	if kind, short := cutOff(18); short {
		return d, kind
	}
	d.l2 = 14
	typ := binary.BigEndian.Uint16(b[12:])
	if typ == 0x8100 {
		typ = binary.BigEndian.Uint16(b[16:])
		d.l2 = 18
	}
	var proto byte
	var addrs []byte
	switch typ {
	case 0x0800:
		if kind, short := cutOff(d.l2 + 20); short {
			return d, kind
		}
		ip := b[d.l2:]
		proto = ip[9]
		if ip[0]>>4 != 4 || proto != 6 && !(proto == 17 && udpToo) {
			return d, oracleOther
		}
		frag := binary.BigEndian.Uint16(ip[6:])
		if ip[0]&15 != 5 || frag&0x3fff != 0 {
			return d, oracleUnknown
		}
		d.l3, d.df, d.id = 20, frag&0x4000 != 0, binary.BigEndian.Uint16(ip[4:])
		addrs = ip[12:20]
		d.able = int(binary.BigEndian.Uint16(ip[2:])) == len(b)-d.l2 && frag&0x8000 == 0
		d.same = fmt.Sprintf("tos %d ttl %d df %v", ip[1], ip[8], d.df)
		d.good = w.flags&pbuf.RxIPCsumGood != 0 || plainSum(ip[:20], 0) == 0xffff
	case 0x86dd:
		if kind, short := cutOff(d.l2 + 40); short {
			return d, kind
		}
		ip := b[d.l2:]
		proto = ip[6]
		switch {
		case ip[0]>>4 != 6:
			return d, oracleOther
		case proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60:
			return d, oracleUnknown
		case proto != 6 && proto != 17, proto == 17 && !udpToo:
			return d, oracleOther
		}
		d.l3, d.v6 = 40, true
		addrs = ip[8:40]
		d.able = int(binary.BigEndian.Uint16(ip[4:])) == len(b)-d.l2-40
		d.same = fmt.Sprintf("word %x hops %d", ip[:4], ip[7])
		d.good = true
	default:
		return d, oracleOther
	}
	if w.flags&(pbuf.RxIPCsumBad|pbuf.RxL4CsumBad|pbuf.RxLRO) != 0 {
		d.able = false
	}
	d.same += fmt.Sprintf(" link %x vlan %v", b[:d.l2], w.flags&pbuf.RxVLAN != 0)
	if w.flags&pbuf.RxVLAN != 0 {
		d.same += fmt.Sprint(w.vlan)
	}
	return d.transport(w, proto, addrs)
}

// transport is dissect from the transport header on.
func (d dissected) transport(w wire, proto byte, addrs []byte) (dissected, int) {
	at := d.l2 + d.l3
	h := d.b[at:]
	short := map[bool]int{true: oracleUnknown, false: oracleOther}[w.chained]
	if proto == 17 {
		if w.first < at+8 {
			return d, short
		}
		d.udp, d.l4, d.tcpFlags = true, 8, 0x10
		if int(binary.BigEndian.Uint16(h[4:])) != len(h) || h[6] == 0 && h[7] == 0 {
			d.able = false
		}
	} else {
		if w.first < at+20 {
			return d, short
		}
		d.l4, d.tcpFlags, d.seq = int(h[12]>>4)*4, h[13], binary.BigEndian.Uint32(h[4:])
		if d.l4 < 20 || at+d.l4 > w.first || d.tcpFlags&0x26 != 0 || d.tcpFlags&0x10 == 0 {
			d.able = false
		}
	}
	d.key = fmt.Sprintf("%v %d %x %x", d.v6, proto, addrs, h[:4])
	if d.able && len(h) > d.l4 {
		d.data = h[d.l4:]
		if !d.udp {
			// Acknowledgement, offset and reserved bits, ECE, window, options.
			d.same += fmt.Sprintf(" tcp %x %x %v %x %x", h[8:12], h[12], d.tcpFlags&0x40, h[14:16], h[20:d.l4])
		}
	} else {
		d.able = false
	}
	if w.flags&pbuf.RxL4CsumGood == 0 && d.able {
		d.good = d.good && plainSum(h, d.pseudo(addrs, len(h), proto)) == 0xffff
	}
	return d, oracleKnown
}

// pseudo is the sum of the pseudo-header in front of n bytes.
func (d dissected) pseudo(addrs []byte, n int, proto byte) uint16 {
	ph := append([]byte{}, addrs...)
	ph = binary.BigEndian.AppendUint32(ph, uint32(n))
	return plainSum(append(ph, 0, proto), 0)
}

// growing is a packet that the oracle appends to.
type growing struct {
	dissected
	frames int
	datas  [][]byte
	ends   byte
	at     int // index of the first frame
}

func (g *growing) size() int { return len(bytes.Join(g.datas, nil)) }

// oracle gives what GRO must make of a burst.
func oracle(burst []wire, udpToo bool) []whole {
	out := make([]*whole, len(burst))
	var open []*growing
	closing := func(g *growing) {
		if g.frames > 1 {
			out[g.at] = g.whole()
		}
	}
	for i, w := range burst {
		out[i] = &whole{b: w.b}
		d, kind := dissect(w, udpToo)
		if kind == oracleOther {
			continue
		}
		var flow *growing
		for k, g := range open {
			if kind == oracleUnknown {
				closing(g)
			} else if g.key == d.key {
				flow = g
				open = append(open[:k:k], open[k+1:]...)
				break
			}
		}
		if kind == oracleUnknown {
			open = nil
			continue
		}
		if flow != nil {
			if flow.takes(d) {
				out[i] = nil
				if d.tcpFlags&9 != 0 || len(d.data) < len(flow.datas[0]) || d.udp && flow.frames == offload.MaxUSO {
					closing(flow)
				} else {
					open = append(open, flow)
				}
				continue
			}
			closing(flow)
		}
		if d.able && d.good && d.tcpFlags&9 == 0 {
			open = append(open, &growing{dissected: d, frames: 1, datas: [][]byte{d.data}, at: i})
		}
	}
	for _, g := range open {
		closing(g)
	}
	var list []whole
	for _, w := range out {
		if w != nil {
			list = append(list, *w)
		}
	}
	return list
}

// takes appends d if it continues g.
func (g *growing) takes(d dissected) bool {
	n := len(d.data)
	switch {
	case !d.able || !d.good || g.same != d.same || n > len(g.datas[0]) || d.l4 != g.l4:
		return false
	case !d.v6 && !d.df && d.id != g.id+uint16(g.frames):
		return false
	case !d.udp && (d.seq != g.seq+uint32(g.size()) || d.tcpFlags&0x80 != 0):
		return false
	case !d.v6 && d.l3+d.l4+g.size()+n > 65535, d.v6 && d.l4+g.size()+n > 65535:
		return false
	}
	g.frames++
	g.datas = append(g.datas, d.data)
	g.ends |= d.tcpFlags & 9
	return true
}

// whole makes the packet.
func (g *growing) whole() *whole {
	l4 := g.l2 + g.l3
	b := append([]byte{}, g.b[:l4+g.l4]...)
	b = append(b, bytes.Join(g.datas, nil)...)
	addrs := b[g.l2+12 : g.l2+20]
	if g.v6 {
		addrs = b[g.l2+8 : g.l2+40]
		binary.BigEndian.PutUint16(b[g.l2+4:], uint16(len(b)-l4))
	} else {
		binary.BigEndian.PutUint16(b[g.l2+2:], uint16(len(b)-g.l2))
		binary.BigEndian.PutUint16(b[g.l2+10:], 0)
		binary.BigEndian.PutUint16(b[g.l2+10:], ^plainSum(b[g.l2:l4], 0))
	}
	if g.udp {
		binary.BigEndian.PutUint16(b[l4+4:], uint16(len(b)-l4))
		binary.BigEndian.PutUint16(b[l4+6:], g.pseudo(addrs, len(b)-l4, 17))
	} else {
		b[l4+13] |= g.ends
		binary.BigEndian.PutUint16(b[l4+16:], g.pseudo(addrs, len(b)-l4, 6))
	}
	return &whole{b: b, lro: true, seg: len(g.datas[0]), l2: g.l2, l3: g.l3, l4: g.l4}
}
