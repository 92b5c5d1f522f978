package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// fuzzHost is a stack with a bit of everything open.
func fuzzHost(t testing.TB, forward bool) *host {
	h := newHost(t, hostConfig{
		Config: Config{Forward: forward, Reassembly: ReassemblyConfig{MaxBuffers: 32}, TCP: TCPConfig{TimeWait: time.Second}},
		Bufs:   pbuf.Config{Small: 256, Buffers: 256, Jumbo: -1},
	})
	h.mayDrop()
	for _, port := range []uint16{53, 7} {
		u := h.NewUDP()
		require.NoError(t, u.Bind(ap(netip.Addr{}, port)))
		u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
	}
	conn := h.NewUDP()
	require.NoError(t, conn.Bind(ap(userIP, 1000)))
	require.NoError(t, conn.Connect(ap(peerIP, 2000)))
	conn.SetRecv(func(_ any, _ *UDP, p *pbuf.Pbuf, _ netip.AddrPort) { p.Free() })
	h.NewRaw(testProto).SetRecv(func(_ any, _ *Raw, p *pbuf.Pbuf, _ netip.Addr) bool { p.Free(); return true })
	g, err := h.NewPing(peerIP, nil, nil)
	require.NoError(t, err)
	_, err = g.Send(8)
	require.NoError(t, err)
	l := h.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			pcb.Recved(p.TotLen())
			return pcb.WritePbuf(p, 0) // echo
		})
		return nil
	})
	require.NoError(t, l.Listen(0))
	c := h.NewTCP()
	require.NoError(t, c.Bind(ap(userIP, 5000)))
	require.NoError(t, c.Connect(ap(peerIP, 80), nil))
	h.Flush(h.now)
	h.wire = func([]byte) {} // what the stack answers is looked at elsewhere
	return h
}

// consumed counts every way for a frame to come to an end other than a drop, or
// to stay for a while.
func consumed(st *Stats) uint64 {
	return st.ARP.InRequests + st.ARP.InReplies + st.IP.InDelivers + st.IP.ForwDatagrams + st.IP.ReasmReqds
}

// repair makes a frame good in the places where chance would hardly ever hit:
// lengths and checksums, each if a bit of how says so.
func repair(b []byte, how byte) {
	if len(b) < header.EthernetLen+header.IPv4Len || (*header.Ethernet)(b).Type() != header.EtherTypeIPv4 {
		return
	}
	if how&1 != 0 {
		copy(b, scriptMAC[:])
	}
	p := b[header.EthernetLen:]
	ip := (*header.IPv4)(p)
	if how&2 != 0 {
		ip.SetTotalLen(uint16(len(p)))
	}
	n, total := ip.HdrLen(), int(ip.TotalLen())
	if how&4 == 0 || ip.Version() != 4 || n < header.IPv4Len || n > total || total > len(p) {
		return
	}
	ip.FillChecksum(p[:n])
	l4 := p[n:total]
	sum := header.PseudoHeader4(ip.Src(), ip.Dst(), ip.Protocol(), uint16(len(l4)))
	put := func(at int, init uint16) {
		if len(l4) < at+2 {
			return
		}
		l4[at], l4[at+1] = 0, 0
		binary.BigEndian.PutUint16(l4[at:], header.UDPChecksum(header.Checksum(l4, init)))
	}
	switch ip.Protocol() {
	case header.ProtoTCP:
		put(16, sum)
	case header.ProtoUDP:
		if len(l4) >= header.UDPLen && how&8 != 0 {
			(*header.UDP)(l4).SetLength(uint16(len(l4)))
		}
		put(6, sum)
	case header.ProtoICMP:
		put(2, 0)
	}
}

func fuzzSeeds() [][]byte {
	syn := header.TCPFields{SrcPort: 1, DstPort: 80, Seq: 9, Flags: header.TCPSyn, Window: 1000}
	frags := ipv4{proto: header.ProtoUDP}.cut(ipv4{}.udpBody(4000, 53, pattern(100)), 56)
	seeds := [][]byte{
		arpRequest(peerIP, scriptPeer, userIP),
		arpReply(otherIP, otherMAC, userIP, scriptMAC),
		ipv4{}.icmp(header.ICMPv4Echo, 0, 1, pattern(8)),
		ipv4{}.icmp(header.ICMPv4DstUnreachable, 3, 0, ipv4{src: userIP, dst: peerIP}.udp(1000, 2000, nil)[header.EthernetLen:]),
		ipv4{}.icmp(header.ICMPv4DstUnreachable, 4, 600, ipv4{src: userIP, dst: peerIP}.tcp(header.TCPFields{SrcPort: 5000, DstPort: 80}, nil, nil)[header.EthernetLen:]),
		ipv4{}.udp(4000, 53, pattern(20)),
		ipv4{}.udp(2000, 1000, pattern(20)),
		ipv4{dst: otherIP}.udp(4000, 9, pattern(20)),
		ipv4{dst: beyondIP, ttl: 1}.udp(4000, 9, pattern(20)),
		ipv4{proto: testProto, opts: []byte{7, 7, 4, 0, 0, 0, 0, 0}}.frame(pattern(9)),
		ipv4{proto: testProto, opts: []byte{131, 7, 4, 0, 0, 0, 0, 0}}.frame(pattern(9)),
		ipv4{}.tcp(syn, []byte{2, 4, 5, 180}, nil),
		ipv4{}.tcp(header.TCPFields{SrcPort: 80, DstPort: 5000, Flags: header.TCPRst}, nil, pattern(3)),
		tagged(ipv4{}.udp(4000, 53, nil), 5),
		ether(header.EtherTypeIPv6, pattern(40)),
	}
	return append(seeds, frags...)
}

// FuzzInput: whole frames, some in pieces, into a stack that has sockets open.
// Nothing panics, every frame is accounted for, and every buffer comes home.
func FuzzInput(f *testing.F) {
	seeds := fuzzSeeds()
	for i, s := range seeds {
		f.Add(s, seeds[(i+1)%len(seeds)], byte(0xf), uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, one, two []byte, how byte, cut uint16) {
		h := fuzzHost(t, how&0x10 != 0)
		for _, b := range [][]byte{one, two, one} {
			if len(b) > 4096 {
				b = b[:4096]
			}
			b = append([]byte{}, b...)
			repair(b, how)
			p := h.packet(b)
			if how&0x20 != 0 { // as a chain; headers that are cut through are dropped
				p.Free()
				p = h.chain(b, max(len(b)/64, 1)+int(cut%300))
			}
			before := h.stats
			h.Input(h.nif, h.now, []*pbuf.Pbuf{p})
			require.NotEqual(t, before.Dropped()+consumed(&before), h.stats.Dropped()+consumed(&h.stats), "a frame vanished")
			h.settleBounded()
		}
		h.advanceBounded(5 * time.Minute)
	})
}

// settleBounded is settle for packets that may go round in the loop for ever:
// two echo services that were made to talk to each other.
func (h *host) settleBounded() {
	for i := 0; i < 20 && h.loop.Len() != 0; i++ {
		h.Poll(h.now)
	}
	h.loop.FreeAll()
	h.Flush(h.now)
}

func (h *host) advanceBounded(d time.Duration) {
	end := h.now + int64(d)
	for i := 0; i < 500 && h.NextTimeout() <= end; i++ {
		h.Poll(max(h.NextTimeout(), h.now+1))
		h.settleBounded()
	}
}
