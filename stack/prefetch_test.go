package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// asIfMany has the stack behave as with very many connections.
func (s *Stack) asIfMany() { s.tcp.flows.n += 2048 }

// TestInputAheadEqualsInput plays bursts of segments of connections that open, talk,
// are reset and close, several a burst, to two hosts, one of which looks ahead.
func TestInputAheadEqualsInput(t *testing.T) {
	for seed := range uint64(8) {
		var cfg Config
		if seed%2 == 1 {
			cfg.Hasher = rss.NewHasher(rss.DefaultKey)
		}
		w := newTwinsWith(t, cfg)
		w.h[1] = newTwinsWith(t, cfg).h[0]
		w.h[1].wire = func(b []byte) { w.sent[1] = append(w.sent[1], b) }
		w.sent = [2][][]byte{}
		w.h[0].asIfMany()
		r := rand.New(rand.NewPCG(seed, 5))
		seq := map[uint16]header.Seq{}
		closed := uint64(0)
		for range 500 {
			var burst [][]byte
			for range 1 + r.IntN(5*aheadPackets) {
				burst = append(burst, randomSegment(r, w, ipv4{ttl: 64}, seq, pattern(r.IntN(2)*r.IntN(300))))
			}
			for _, h := range w.h {
				h.in(burst...)
			}
			require.Equal(t, w.sent[1], w.sent[0], "what is sent")
			require.Equal(t, w.h[1].stats, w.h[0].stats, "what is counted")
			for _, b := range w.sent[0] {
				s := (*header.TCP4)(b).TCP()
				w.segs[s.DstPort()] = s
			}
			w.sent = [2][][]byte{}
			closed = w.h[0].tcp.freed
		}
		require.Greater(t, closed, uint64(50), "connections that ended")
	}
}

// TestInputAheadFindsConnections: packets of one burst need not be looked up again,
// whoever hashes them and however long the burst is; what else there is in it is no
// matter.
func TestInputAheadFindsConnections(t *testing.T) {
	for name, hasher := range map[string]*rss.Hasher{"own hash": nil, "a NIC's": rss.NewHasher(rss.DefaultKey)} {
		t.Run(name, func(t *testing.T) {
			w := newTwinsWith(t, Config{Hasher: hasher})
			h := w.h[0]
			const conns = 3*aheadPackets + 1
			syn := func(port uint16) header.TCPFields {
				return header.TCPFields{SrcPort: port, DstPort: 7, Seq: 9, Flags: header.TCPSyn, Window: 1000}
			}
			for i := range uint16(conns) {
				h.in(ipv4{}.tcp(syn(3000+i), nil, nil))
			}
			h.asIfMany()
			var ps []*pbuf.Pbuf
			for i := range uint16(conns) {
				ps = append(ps, h.packet(ipv4{}.tcp(syn(3000+i), nil, nil)))
				if i%5 == 0 {
					ps = append(ps, h.packet(ipv4{}.tcp(syn(5000+i), nil, nil)), h.packet(make([]byte, 60)))
				}
			}
			// The steps of inputAhead, and what the segments' turns would find.
			found := 0
			for i := 0; i*aheadPackets < len(ps); i++ {
				var a aheadWindow
				h.aheadSlots(&a, nthWindow(ps, i))
				h.aheadPCBs(&a, nthWindow(ps, i))
				h.aheadMore(&a, nthWindow(ps, i))
				for k, p := range nthWindow(ps, i) {
					if (*header.Plain4)(p.Payload()).Protocol() != header.ProtoTCP {
						require.Nil(t, a.pcb[k])
						continue
					}
					f := (*header.TCP4)(p.Payload()).TCP()
					if f.SrcPort() >= 5000 {
						require.Nil(t, a.pcb[k], "no connection yet")
						continue
					}
					require.Equal(t, f.SrcPort(), a.pcb[k].rport)
					found++
				}
			}
			require.Equal(t, conns, found)
			pbuf.FreeBatch(ps)
		})
	}
}

// TestInputAheadForgetsWhoWasClosed: a connection that was found ahead and is reset
// meanwhile is not taken for one.
func TestInputAheadForgetsWhoWasClosed(t *testing.T) {
	w := newTwins(t)
	h := w.h[0]
	h.asIfMany()
	h.in(ipv4{}.tcp(header.TCPFields{SrcPort: 3000, DstPort: 7, Seq: 9, Flags: header.TCPSyn, Window: 1000}, nil, nil))
	first := (*header.TCP4)(w.sent[0][len(w.sent[0])-1]).TCP()
	w.sent[0] = nil
	seg := header.TCPFields{SrcPort: 3000, DstPort: 7, Seq: 10, Ack: first.Seq().Add(1), Flags: header.TCPAck, Window: 1000}
	rst := seg
	rst.Flags = header.TCPRst
	h.in(ipv4{}.tcp(seg, nil, nil), ipv4{}.tcp(rst, nil, nil), ipv4{}.tcp(seg, nil, pattern(10)))
	require.Len(t, w.sent[0], 1)
	require.Equal(t, header.TCPRst, (*header.TCP4)(w.sent[0][0]).TCP().Flags(), "there is no connection")
}

// TestInputAheadTellsEqualHashesApart: of connections with one hash, each of which has
// one of four ends for itself, all get what is theirs.
func TestInputAheadTellsEqualHashesApart(t *testing.T) {
	h := newTwinsWith(t, Config{Hasher: rss.NewHasher(rss.DefaultKey)}).h[0]
	h.asIfMany()
	second := netip.MustParseAddr("198.18.0.77")
	require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(second, 24)))
	l := h.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 6)))
	l.SetAccept(func(any, *TCP, error) error { return nil })
	require.NoError(t, l.Listen(0))
	type ends struct {
		src, dst     netip.Addr
		sport, dport uint16
	}
	conns := []ends{
		{peerIP, userIP, 3000, 7}, {peerIP, userIP, 3001, 7}, {peerIP, userIP, 3000, 6}, {peerIP, second, 3000, 7},
		{netip.MustParseAddr("198.18.0.3"), userIP, 3000, 7},
	}
	burst := func(f func(c ends) header.TCPFields) {
		var ps []*pbuf.Pbuf
		for _, c := range conns {
			seg := f(c)
			seg.SrcPort, seg.DstPort, seg.Window = c.sport, c.dport, 1000
			p := h.packet(ipv4{src: c.src, dst: c.dst}.tcp(seg, nil, nil))
			p.Hash, p.Flags = 5, p.Flags|pbuf.RxHash
			ps = append(ps, p)
		}
		h.inPackets(ps...)
	}
	find := func(c ends) *TCP { return h.lookup(hdr(c.dst), hdr(c.src), c.dport, c.sport, 5) }
	burst(func(ends) header.TCPFields { return header.TCPFields{Seq: 9, Flags: header.TCPSyn} })
	burst(func(c ends) header.TCPFields {
		return header.TCPFields{Seq: 10, Ack: find(c).sndNxt, Flags: header.TCPAck}
	})
	for _, c := range conns {
		require.Equal(t, StateEstablished, find(c).state, "%v", c)
	}
}

// TestInputAheadReopens: a connection in TIME-WAIT that was found ahead, and that a new
// one takes the place of, is found again (RFC 9293 3.10.7.4, RFC 6191).
func TestInputAheadReopens(t *testing.T) {
	w := newTwins(t)
	h := w.h[0]
	h.asIfMany()
	seg := func(sport uint16, f header.TCPFields) []byte {
		f.SrcPort, f.DstPort, f.Window = sport, 7, 1000
		return ipv4{}.tcp(f, nil, nil)
	}
	h.in(seg(3000, header.TCPFields{Seq: 9, Flags: header.TCPSyn}))
	find := func() *TCP { return h.twinOf(seg(3000, header.TCPFields{})) }
	una := find().sndNxt
	h.in(seg(3000, header.TCPFields{Seq: 10, Ack: una, Flags: header.TCPAck}))
	require.NoError(t, find().Close())
	h.in(seg(3000, header.TCPFields{Seq: 10, Ack: una.Add(1), Flags: header.TCPAck | header.TCPFin}))
	require.Equal(t, StateTimeWait, find().state)
	h.in(seg(4000, header.TCPFields{Seq: 9, Flags: header.TCPSyn}), // looked up: its hash is the last one made
		seg(3000, header.TCPFields{Seq: 99, Flags: header.TCPSyn}))
	require.NotNil(t, find())
	require.Equal(t, StateSynRcvd, find().state)
}
