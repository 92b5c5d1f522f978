package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// twins are two hosts that get the same frames: one takes and sends plain packets
// in one step, the other has hooks, which do nothing, that send all by the layers.
type twins struct {
	h    [2]*host
	sent [2][][]byte            // since the last frame was given
	segs map[uint16]*header.TCP // last segment sent, by the peer's port
}

func newTwins(t testing.TB) *twins { return newTwinsWith(t, Config{}) }

// newTwinsWith is newTwins with another configuration, but for its hooks.
func newTwinsWith(t testing.TB, cfg Config) *twins {
	w := &twins{segs: make(map[uint16]*header.TCP)}
	for i, hooks := range []Hooks{{}, {
		IP4Input: func(*Netif, *pbuf.Pbuf) bool { return false },
		VLANSet:  func(*Netif, *pbuf.Pbuf, header.MAC, header.EtherType) int32 { return -1 },
	}} {
		cfg.Hooks, cfg.TCP.TimeWait = hooks, time.Second
		h := newHost(t, hostConfig{
			Config: cfg,
			Bufs:   pbuf.Config{Small: 512, Buffers: 512, Jumbo: -1},
		})
		h.mayDrop()
		h.wire = func(b []byte) { w.sent[i] = append(w.sent[i], b) }
		w.h[i] = h
		u := h.NewUDP()
		require.NoError(t, u.Bind(ap(netip.Addr{}, 7)))
		u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) { _ = u.SendTo(p, from) })
		l := h.NewTCP()
		require.NoError(t, l.Bind(ap(netip.Addr{}, 7)))
		l.SetAccept(func(_ any, pcb *TCP, _ error) error {
			pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
				if p == nil {
					return pcb.Close()
				}
				pcb.Recved(p.TotLen())
				return pcb.WritePbuf(p, 0)
			})
			return nil
		})
		require.NoError(t, l.Listen(0))
		c := h.NewTCP()
		require.NoError(t, c.Bind(ap(userIP, 5000)))
		require.NoError(t, c.Connect(ap(peerIP, 80), nil))
		h.Flush(h.now)
	}
	require.True(t, w.h[0].plainIn(w.h[0].nif) && w.h[0].nif.plainOut)
	require.False(t, w.h[1].plainIn(w.h[1].nif) || w.h[1].nif.plainOut)
	return w
}

// in gives both a frame and some time, and wants the same of them.
func (w *twins) in(t testing.TB, b []byte, later time.Duration) {
	for _, h := range w.h {
		h.in(b)
		h.advance(later)
	}
	require.Equal(t, w.sent[1], w.sent[0], "what is sent")
	require.True(t, w.h[0].stats == w.h[1].stats, "what is counted: %+v, by the layers %+v", w.h[0].stats, w.h[1].stats)
	for _, b := range w.sent[0] {
		if len(b) >= header.TCP4Len && b[23] == byte(header.ProtoTCP) {
			h := (*header.TCP4)(b).TCP()
			w.segs[h.DstPort()] = h
		}
	}
	w.sent = [2][][]byte{}
}

// TestPlainEqualsTheLayers plays connections and datagrams, right and wrong in
// many ways, to both.
func TestPlainEqualsTheLayers(t *testing.T) {
	for seed := range uint64(8) {
		w := newTwins(t)
		r := rand.New(rand.NewPCG(seed, 1))
		seq := map[uint16]header.Seq{}
		for range 3000 {
			pk := ipv4{dont: r.IntN(2) == 0, tos: uint8(r.IntN(4) * 8), ttl: uint8(1 + r.IntN(255))}
			if r.IntN(40) == 0 {
				pk.dst = []netip.Addr{peerIP, netip.MustParseAddr("198.18.0.255"), netip.MustParseAddr("203.0.113.9")}[r.IntN(3)]
			}
			if r.IntN(40) == 0 {
				pk.src = []netip.Addr{userIP, netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("0.0.0.0")}[r.IntN(3)]
			}
			data := pattern(r.IntN(4) * r.IntN(500))
			var b []byte
			if r.IntN(4) == 0 {
				b = pk.udp(uint16(1000+r.IntN(3)), uint16(7+r.IntN(2)), data)
			} else {
				b = randomSegment(r, w, pk, seq, data)
			}
			if r.IntN(20) == 0 {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
			if r.IntN(20) == 0 { // the link's padding
				b = append(b, make([]byte, r.IntN(30))...)
			}
			w.in(t, b, time.Duration(r.IntN(3))*time.Millisecond)
		}
		st := &w.h[0].stats.TCP
		require.Positive(t, st.PredictedHits)
		require.Positive(t, st.PassiveOpens)
		require.Positive(t, w.h[0].stats.UDP.OutDatagrams)
	}
}

// randomSegment is mostly what a peer that has got everything would send next.
func randomSegment(r *rand.Rand, w *twins, pk ipv4, seq map[uint16]header.Seq, data []byte) []byte {
	sport := uint16(2000 + r.IntN(4))
	f := header.TCPFields{SrcPort: sport, DstPort: 7, Window: 30000, Flags: header.TCPAck | header.TCPPsh}
	if r.IntN(8) == 0 { // an answer to the connection that the host opens
		f.SrcPort, f.DstPort = 80, 5000
	}
	last := w.segs[f.SrcPort]
	switch {
	case last == nil || last.Flags()&header.TCPRst != 0:
		f.Flags, f.Seq, data = header.TCPSyn, header.Seq(r.Uint32()), nil
		if f.SrcPort == 80 {
			f.Flags |= header.TCPAck
		}
	default:
		f.Seq, f.Ack = last.Ack(), last.Seq().Add(1)
		if n := seq[f.SrcPort]; n != 0 && r.IntN(4) != 0 {
			f.Ack = last.Seq()
		}
	}
	seq[f.SrcPort]++
	switch r.IntN(24) {
	case 0:
		f.Flags |= header.TCPFin
	case 1:
		f.Flags = header.TCPRst
	case 2:
		f.Seq = f.Seq.Add(uint32(r.IntN(2000) - 1000))
	case 3:
		f.Ack = f.Ack.Add(uint32(r.IntN(2000) - 1000))
	case 4:
		f.Window = 0
	case 5:
		f.Flags = header.TCPFlags(r.Uint32())
	}
	var opts []byte
	if r.IntN(6) == 0 {
		opts = make([]byte, header.TCPTimestampLen)
		header.PutTimestamp(opts, r.Uint32(), r.Uint32())
	}
	return pk.tcp(f, opts, data)
}

// FuzzPlainEqualsTheLayers mangles frames of a connection and a datagram.
func FuzzPlainEqualsTheLayers(f *testing.F) {
	f.Add([]byte{23, 17}, uint16(0))
	f.Add([]byte{14, 0x46, 46, 0xf0}, uint16(9))
	f.Add([]byte{47, 0x02}, uint16(100))
	f.Fuzz(func(t *testing.T, edits []byte, n uint16) {
		w := newTwins(t)
		w.in(t, ipv4{}.tcp(header.TCPFields{SrcPort: 2000, DstPort: 7, Seq: 9, Flags: header.TCPSyn, Window: 1000}, nil, nil), 0)
		seg := header.TCPFields{SrcPort: 2000, DstPort: 7, Seq: 10, Ack: w.segs[2000].Seq().Add(1), Flags: header.TCPAck, Window: 1000}
		for _, b := range [][]byte{
			ipv4{}.tcp(seg, nil, nil), ipv4{}.tcp(seg, nil, pattern(int(n%1400))), ipv4{}.udp(1000, 7, pattern(int(n%1400))),
		} {
			w.in(t, b, 0)
			b = append([]byte(nil), b...)
			for i := 0; i+1 < len(edits); i += 2 {
				b[int(edits[i])%len(b)] ^= edits[i+1]
			}
			w.in(t, b, time.Millisecond)
		}
	})
}
