package offload_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// receive makes packets of a burst.
func receive(t testing.TB, pool *pbuf.Pool, burst []wire, rng *rand.Rand) []*pbuf.Pbuf {
	t.Helper()
	var ps []*pbuf.Pbuf
	for i := range burst {
		w := &burst[i]
		var r *rand.Rand
		head := len(w.b)
		if w.chained && rng != nil {
			head, r = min(w.first, len(w.b)), rng
		}
		p := chain(t, pool, w.b, head, r)
		w.first, w.chained = p.Len(), p.Next() != nil
		p.Flags, p.VLAN = w.flags|pbuf.RxHash|pbuf.RxTime, w.vlan
		p.Hash, p.Time = uint32(i), int64(i)
		ps = append(ps, p)
	}
	return ps
}

// checkBurst compares GRO with the oracle and returns the packets' bytes.
func checkBurst(t testing.TB, g *offload.GRO, pool *pbuf.Pool, burst []wire, rng *rand.Rand) []whole {
	t.Helper()
	ps := receive(t, pool, burst, rng)
	want := oracle(burst, g.UDP)
	out := g.Burst(ps)
	require.Len(t, out, len(want))
	last := -1
	for i, p := range out {
		require.Equal(t, want[i].b, content(p), "packet %d of %d", i, len(want))
		require.Equal(t, want[i].lro, p.Flags&pbuf.RxLRO != 0 && burst[p.Hash].flags&pbuf.RxLRO == 0)
		require.Greater(t, int(p.Hash), last, "in the order of the first frames")
		require.EqualValues(t, p.Hash, p.Time)
		last = int(p.Hash)
		if want[i].lro {
			require.EqualValues(t, want[i].seg, p.SegSize)
			require.Equal(t, [3]int{want[i].l2, want[i].l3, want[i].l4}, [3]int{int(p.L2Len), int(p.L3Len), int(p.L4Len)})
			require.NotZero(t, p.Flags&pbuf.RxL4CsumGood)
			require.NotZero(t, p.Flags&pbuf.RxL4Partial)
		}
		left := p.TotLen()
		for q := p; q != nil; q = q.Next() {
			require.Equal(t, left, q.TotLen())
			left -= q.Len()
		}
		p.Free()
	}
	for _, p := range ps[len(out):] {
		require.Nil(t, p)
	}
	return want
}

// sender is a flow that makes frames.
type sender struct {
	s  *super
	id uint16
}

// frame makes the next frame of the flow, as it should be or with something
// that ends a packet.
func (f *sender) frame(t testing.TB, rng *rand.Rand, wild bool) wire {
	s := *f.s
	n := s.mss
	var w wire
	if s.tcp != nil {
		tcp := *f.s.tcp
		s.tcp = &tcp
		tcp.PSH, tcp.FIN, tcp.CWR = false, false, false
		if wild {
			n = f.spoilTCP(rng, &tcp, n)
		}
		f.s.tcp.Seq = tcp.Seq + uint32(n)
	} else if wild && rng.IntN(4) == 0 {
		n = max(0, n+rng.IntN(5)-2)
	}
	if s.ip4 != nil {
		ip := *s.ip4
		s.ip4 = &ip
		if ip.Id = f.id; ip.Flags != 0 && rng.IntN(2) == 0 {
			ip.Id = uint16(rng.Uint32()) // RFC 6864: of no meaning
		}
		f.id++
	}
	b := s.serialize(t, randomBytes(rng, n))
	if wild {
		b = f.spoil(rng, &w, b)
	}
	w.b = b
	w.first = len(b)
	return w
}

// spoilTCP makes one of the things that TCP itself does.
func (f *sender) spoilTCP(rng *rand.Rand, tcp *layersTCP, n int) int {
	switch rng.IntN(16) {
	case 0:
		tcp.PSH = true
	case 1:
		tcp.FIN = true
	case 2:
		tcp.CWR = true
	case 3:
		f.s.tcp.ECE = !f.s.tcp.ECE
	case 4:
		f.s.tcp.Ack += 1000
	case 5:
		f.s.tcp.Window++
	case 6:
		tcp.Seq += 1000 // lost
	case 7:
		tcp.Seq -= 1000 // again
	case 8:
		return 0 // an acknowledgement
	case 9:
		return max(1, n-rng.IntN(3))
	case 10:
		return n + 1
	case 11:
		tcp.RST = rng.IntN(2) == 0
		tcp.URG = !tcp.RST
	case 12:
		if len(f.s.tcp.Options) > 0 {
			o := slices.Clone(f.s.tcp.Options)
			o[2].OptionData = randomBytes(rng, 8)
			f.s.tcp.Options = o
		}
	case 13:
		tcp.SYN = true
	}
	return n
}

// spoil makes one of the things that happen to frames.
func (f *sender) spoil(rng *rand.Rand, w *wire, b []byte) []byte {
	switch rng.IntN(16) {
	case 0:
		b = append(b, make([]byte, 1+rng.IntN(6))...) // padding
	case 1:
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	case 2:
		w.flags = pbuf.RxL4CsumGood | pbuf.RxIPCsumGood
		b[len(b)-1] ^= 1 // the port vouches: joined as it is
	case 3:
		w.flags = []pbuf.Flags{pbuf.RxL4CsumBad, pbuf.RxIPCsumBad, pbuf.RxLRO}[rng.IntN(3)]
	case 4:
		w.flags, w.vlan = pbuf.RxVLAN, uint16(rng.IntN(2))
	case 5:
		w.flags = pbuf.RxL4CsumGood
	case 6:
		b = b[:rng.IntN(len(b)+1)]
	case 7:
		if f.s.ip4 != nil { // a fragment
			(*header.IPv4)(b[len(f.s.tags)*4+14:]).SetFrag(uint16(rng.IntN(2))*8, true, false)
		}
	}
	return b
}

// newSenders makes flows of all kinds that the oracle and GRO can tell apart.
func newSenders(rng *rand.Rand, n int) []*sender {
	var list []*sender
	for i := range n {
		s := randomSuper(rng, i&1 != 0, i%3 == 2, 0, 1+rng.IntN(100))
		s.tags = s.tags[:min(1, len(s.tags))]
		if s.ip4 != nil && rng.IntN(8) != 0 {
			s.ip4.Options = nil
		}
		list = append(list, &sender{s: s, id: uint16(rng.Uint32())})
	}
	return list
}

// GRO does what the oracle does on bursts of several flows with losses,
// reordering, all flags and options, and damaged frames.
func TestGROIsTheOracle(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 8192, Buffers: 1024})
	joined, longest := 0, 0
	var g offload.GRO
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		flows := newSenders(rng, 1+rng.IntN(8))
		g.UDP = rng.IntN(4) != 0
		for range 3 {
			var burst []wire
			wild := rng.IntN(4)
			for range 1 + rng.IntN(120) {
				f := flows[rng.IntN(len(flows))]
				w := f.frame(t, rng, rng.IntN(8) < wild)
				w.chained = rng.IntN(8) == 0
				if w.first = 130; rng.IntN(8) == 0 {
					w.first = rng.IntN(130)
				}
				burst = append(burst, w)
			}
			for range rng.IntN(4) { // reordering
				i := rng.IntN(len(burst))
				j := min(len(burst)-1, i+rng.IntN(4))
				burst[i], burst[j] = burst[j], burst[i]
			}
			n := len(burst)
			got := checkBurst(t, &g, pool, burst, rng)
			joined += n - len(got)
			for _, w := range got {
				if w.lro {
					longest = max(longest, len(w.b)/w.seg)
				}
			}
		}
	}
	require.EqualValues(t, joined, g.Stats().Joined)
	require.Greater(t, joined, 10_000, "the test joins enough to mean something")
	require.Greater(t, longest, 60)
	require.NotZero(t, g.Stats().BadCsum)
}

// segmentsOf gives frames of one TCP flow over IPv4 with n bytes each, and lets
// edit change each.
func segmentsOf(t testing.TB, count, n int, edit func(i int, s *super)) []wire {
	rng := rand.New(rand.NewPCG(21, 22))
	f := newSenders(rng, 1)[0]
	f.s.tcp.ECE, f.s.ip4.Options, f.s.mss, f.s.ip4.Flags = false, nil, n, 0
	base := f.s.tcp.Seq
	var burst []wire
	for i := range count {
		s := *f.s
		tcp, ip := *s.tcp, *s.ip4
		tcp.PSH, tcp.FIN, tcp.CWR = false, false, false
		s.tcp, s.ip4, s.data = &tcp, &ip, make([]byte, n)
		tcp.Seq, ip.Id = base+uint32(i*n), f.id+uint16(i)
		edit(i, &s)
		b := s.serialize(t, s.data)
		burst = append(burst, wire{b: b, first: len(b)})
	}
	return burst
}

// sizes are the numbers of frames in the packets that come of a burst.
func sizes(t testing.TB, burst []wire) []int {
	t.Helper()
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048, Buffers: 2048})
	var g offload.GRO
	var list []int
	for _, w := range checkBurst(t, &g, pool, burst, nil) {
		n := 1
		if w.lro {
			n = (len(w.b) - w.l2 - w.l3 - w.l4 + w.seg - 1) / w.seg
		}
		list = append(list, n)
	}
	return list
}

// The rules one by one, so that oracle and GRO are not wrong together.
func TestGRORules(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(i int, s *super)
		want []int
	}{
		{"plain", func(int, *super) {}, []int{6}},
		{"PSH ends", func(i int, s *super) { s.tcp.PSH = i == 2 }, []int{3, 3}},
		{"FIN ends", func(i int, s *super) { s.tcp.FIN = i == 2 }, []int{3, 3}},
		{"URG alone", func(i int, s *super) { s.tcp.URG = i == 2 }, []int{2, 1, 3}},
		{"RST alone", func(i int, s *super) { s.tcp.RST = i == 2 }, []int{2, 1, 3}},
		{"SYN alone", func(i int, s *super) { s.tcp.SYN = i == 2 }, []int{2, 1, 3}},
		{"RFC 3168 6.1.2: CWR is the first", func(i int, s *super) { s.tcp.CWR = i == 2 }, []int{2, 4}},
		{"RFC 3168 6.1.3: ECE is equal", func(i int, s *super) { s.tcp.ECE = i >= 2 }, []int{2, 4}},
		{"acknowledgement number", func(i int, s *super) { s.tcp.Ack += uint32(i / 2) }, []int{2, 2, 2}},
		{"window", func(i int, s *super) { s.tcp.Window += uint16(i / 3) }, []int{3, 3}},
		{"RFC 5681 4.2: duplicate ACKs stay", func(i int, s *super) {
			if i == 2 || i == 3 {
				s.data = nil
			}
		}, []int{2, 1, 1, 2}},
		{"hole", func(i int, s *super) {
			if i >= 3 {
				s.tcp.Seq += 1000
			}
		}, []int{3, 3}},
		{"shorter is last", func(i int, s *super) {
			if i == 2 {
				s.data = s.data[1:]
			}
			if i > 2 {
				s.tcp.Seq--
			}
		}, []int{3, 3}},
		{"longer is not joined", func(i int, s *super) {
			if i == 2 {
				s.data = append(s.data, 1)
			}
			if i > 2 {
				s.tcp.Seq++
			}
		}, []int{2, 2, 2}},
		{"DSCP", func(i int, s *super) { s.ip4.TOS += uint8(i/2) << 2 }, []int{2, 2, 2}},
		{"ECN", func(i int, s *super) { s.ip4.TOS = uint8(i / 2) }, []int{2, 2, 2}},
		{"TTL", func(i int, s *super) { s.ip4.TTL = 9 + uint8(i/3) }, []int{3, 3}},
		{"ID is not the next", func(i int, s *super) { s.ip4.Id += uint16(i / 3) }, []int{3, 3}},
		{"RFC 6864 4.1: ID of atomic packets", func(i int, s *super) { s.ip4.Flags, s.ip4.Id = 2, uint16(i*i) }, []int{6}},
		{"DF", func(i int, s *super) { s.ip4.Flags = ipv4Flag(i / 3 * 2) }, []int{3, 3}},
		{"reserved bit", func(i int, s *super) { s.ip4.Flags = 4 }, []int{1, 1, 1, 1, 1, 1}},
		{"MAC", func(i int, s *super) { s.eth.SrcMAC = []byte{2, 0, 0, 0, 0, byte(i / 3)} }, []int{3, 3}},
		{"port", func(i int, s *super) { s.tcp.SrcPort = tcpPort(9 + i&1) }, []int{1, 1, 1, 1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, sizes(t, segmentsOf(t, 6, 100, c.edit)))
		})
	}
}

// An IP packet is at most 64 KiB.
func TestGROLimit(t *testing.T) {
	require.Equal(t, []int{44, 6}, sizes(t, segmentsOf(t, 50, 1460, func(_ int, s *super) { s.tcp.Options = nil })))
}

// Interleaved flows are joined each, and the packets come in the order of their
// first frames; what is damaged is in none.
func TestGROInterleaved(t *testing.T) {
	a := segmentsOf(t, 6, 100, func(int, *super) {})
	b := segmentsOf(t, 6, 100, func(_ int, s *super) { s.tcp.SrcPort++ })
	var burst []wire
	for i := range a {
		burst = append(burst, a[i], b[i])
	}
	require.Equal(t, []int{6, 6}, sizes(t, burst))
	b[3].b[len(b[3].b)-1] ^= 1
	require.Equal(t, []int{6, 3, 1, 2}, sizes(t, burst))
}

// More flows than fit at a time lose joins, and never order.
func TestGROManyFlows(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 2048, Buffers: 2048})
	for _, flows := range []int{200, 255, 256, 257, 600} {
		var burst []*pbuf.Pbuf
		for k := range 2 * flows {
			w := segmentsOf(t, 2, 10, func(_ int, s *super) { s.tcp.SrcPort = tcpPort(k % flows) })[k/flows]
			p := chain(t, pool, w.b, len(w.b), nil)
			p.Hash = uint32(k)
			burst = append(burst, p)
		}
		rng.Shuffle(flows, func(i, j int) { burst[i], burst[j] = burst[j], burst[i] })
		var g offload.GRO
		seen := map[uint16]uint32{}
		frames := 0
		for _, p := range g.Burst(burst) {
			b := content(p)
			tcp := (*header.TCP)(b[p.Len()-10-tcpHdr(b):])
			port, seq := tcp.SrcPort(), binary.BigEndian.Uint32(tcp[4:8])
			if old, ok := seen[port]; ok {
				require.Equal(t, old, seq, "flow %d of %d", port, flows)
			}
			n := (p.TotLen() - (p.Len() - 10)) / 10
			seen[port] = seq + uint32(10*n)
			frames += n
			p.Free()
		}
		require.Equal(t, 2*flows, frames)
		if flows == 200 {
			require.EqualValues(t, 200, g.Stats().Packets, "they have room")
		}
	}
}

// tcpHdr is the length of the TCP header of a frame of segmentsOf.
func tcpHdr(b []byte) int { return len(b[:0]) + int(b[l4At(b)+12]>>4)*4 }

func l4At(b []byte) int {
	if b[12] == 0x81 {
		return 38
	}
	return 34
}

// A buffer that somebody else holds is not changed.
func TestGROLeavesSharedBuffers(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	burst := segmentsOf(t, 3, 100, func(int, *super) {})
	ps := receive(t, pool, burst, nil)
	ps[1].Ref()
	held := ps[1]
	var g offload.GRO
	out := g.Burst(ps)
	require.Len(t, out, 3)
	require.Equal(t, burst[1].b, content(held))
	held.Free()
	pbuf.FreeBatch(out)
}
