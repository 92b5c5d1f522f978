package netem

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// packet makes a UDP packet over IPv4 of n bytes in all from a source port, with
// an ECN field, and its number in the payload.
func (r *rig) packet(n int, port uint16, ecn uint8) *pbuf.Pbuf {
	f := r.frame(n)
	b := f.Payload()
	id := binary.BigEndian.Uint32(b)
	clear(b[:4])
	binary.BigEndian.PutUint16(b[12:], uint16(header.EtherTypeIPv4))
	h := (*header.IPv4)(b[14:34])
	h.Encode(&header.IPv4Fields{TotalLen: uint16(n - 14), TTL: 64, Protocol: header.ProtoUDP, TOS: ecn,
		Src: header.AddrFrom4([4]byte{198, 18, 0, 1}), Dst: header.AddrFrom4([4]byte{198, 18, 0, 2})})
	h.FillChecksum(b[14:34])
	binary.BigEndian.PutUint16(b[34:], port)
	binary.BigEndian.PutUint32(b[0:], id) // in the destination address
	return f
}

// load offers packets of 1000 bytes at a rate in bits per second for a while and
// gives the delays, in ns, of those that got through.
func (r *rig) load(rate float64, d time.Duration, ecn uint8) (delays []int64) {
	sent := map[uint32]int64{}
	gap := int64(8000 / rate * 1e9)
	take := func(end int64) {
		for _, a := range r.drain(end) {
			delays = append(delays, a.at-sent[a.id])
		}
	}
	for now := int64(0); now < int64(d); now += gap {
		take(now)
		sent[r.n] = now
		r.Send(now, r.packet(1000, 9, ecn))
	}
	take(Forever - 1)
	return delays
}

func mean(l []int64) float64 {
	var s float64
	for _, v := range l {
		s += float64(v)
	}
	return s / float64(len(l))
}

// TestREDProbability: with the average between the thresholds, the part of
// frames that is dropped is that of the formula. Frames between drops are
// counted, which makes them come evenly: the mean gap is 1/(2 pb) and half a
// frame (Floyd, Jacobson 1993, section 7).
func TestREDProbability(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Seed: 1,
		Queue: Queue{Kind: RED, Bytes: 200_000, MinBytes: 10_000, MaxBytes: 50_000, MaxP: 0.1}})
	q := r.queue.(*red)
	const n = 20_000
	for _, avg := range []int64{20_000, 30_000, 45_000} {
		drops := 0
		for range n {
			q.avg = avg << 9
			if q.early() {
				drops++
				q.count = 0
			} else {
				q.count++
			}
		}
		pb := 0.1 * float64(avg-10_000) / 40_000
		require.InDelta(t, 1/((1/pb+1)/2), float64(drops)/n, 0.1*pb+0.002, "average %d", avg)
	}
	q.avg, q.count = 9_000<<9, 0
	for range 1000 {
		require.False(t, q.early(), "below MinBytes")
	}
	q.avg = 100_000 << 9
	require.True(t, q.early(), "above twice MaxBytes")
}

// TestREDAverage: the average follows the queue slowly, and decays while the
// line is idle as if frames had seen an empty queue.
func TestREDAverage(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Kind: RED, Bytes: 1 << 20, MinBytes: 1 << 19, MaxBytes: 1 << 19, WeightLog: 5}})
	q := r.queue.(*red)
	for range 200 {
		r.Send(0, r.frame(1000))
	}
	var want float64
	for i := range 200 {
		if i > 1 { // the first went to the line, the second found an empty queue
			want += (float64(i-1)*1000 - want) / 32
		}
	}
	require.InDelta(t, want, float64(q.avg>>5), 100)
	r.drain(Forever - 1)
	before := float64(q.avg >> 5)
	r.Send(q.empty+64*ms, r.frame(1000)) // 64 frames' time
	require.InDelta(t, before*math.Pow(31.0/32, 64), float64(q.avg>>5), 100)
}

func TestREDHoldsTheQueueAndMarks(t *testing.T) {
	cfg := Config{Rate: 8_000_000, Seed: 1, Queue: Queue{Kind: RED, Bytes: 400_000, ECN: true}}
	r := newRig(t, cfg)
	r.load(8_200_000, 6*time.Second, 2) // nobody answers to marks: the queue grows on
	st := r.Stats()
	require.Positive(t, st.Marked)
	require.Zero(t, st.EarlyDropped, "ECT is marked while the average is below twice MaxBytes")

	r = newRig(t, cfg)
	r.load(8_200_000, 20*time.Second, 0)
	st = r.Stats()
	require.Zero(t, st.Marked)
	require.Positive(t, st.EarlyDropped)
	require.Zero(t, st.QueueFull, "early drops keep the queue short")
}

// TestCoDelBringsTheDelayDown (RFC 8289 3): a load a little above the line fills
// any plain queue; CoDel drops as many as it takes to hold the delay near Target.
func TestCoDelBringsTheDelayDown(t *testing.T) {
	q := Queue{Bytes: 200_000}
	plain := newRig(t, Config{Rate: 8_000_000, Queue: q}).load(8_100_000, 30*time.Second, 0)
	q.Kind = CoDel
	r := newRig(t, Config{Rate: 8_000_000, Queue: q})
	controlled := r.load(8_100_000, 30*time.Second, 0)
	require.Greater(t, mean(plain), 90e6)
	require.Less(t, mean(controlled[len(controlled)/2:]), 25e6)
	require.Positive(t, r.Stats().EarlyDropped)
	require.Zero(t, r.Stats().QueueFull)
	require.Greater(t, len(controlled), len(plain)*98/100, "the line stays busy")
}

// TestCoDelLaw (RFC 8289 4.5): the time between drops is Interval/√count.
func TestCoDelLaw(t *testing.T) {
	cfg := Config{}.withDefaults().Queue
	c := codel{}
	for _, n := range []int{1, 2, 4, 100} {
		c.count = n
		require.InDelta(t, 7e9+100e6/math.Sqrt(float64(n)), float64(c.law(7e9, &cfg)), 2)
	}
}

// TestCoDelLeavesShortQueuesAlone (RFC 8289 5.3): less than a frame waits, or
// the delay goes below Target now and then.
func TestCoDelLeavesShortQueuesAlone(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Kind: CoDel}})
	for i := range int64(1000) { // bursts of 20 ms that drain
		for range 20 {
			r.Send(i*25*ms, r.frame(1000))
		}
		r.drain((i + 1) * 25 * ms)
	}
	r.drain(Forever - 1)
	require.Zero(t, r.Stats().EarlyDropped)
}

func TestCoDelMarks(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Kind: CoDel, ECN: true, Bytes: 1 << 20}})
	got := r.load(8_100_000, 20*time.Second, 1)
	require.Positive(t, r.Stats().Marked)
	require.Zero(t, r.Stats().EarlyDropped)
	require.Len(t, got, int(r.Stats().Offered))
}

// TestFQCoDelSharesFairly (RFC 8290): a flow that floods gets half; the other
// one's packets hardly wait.
func TestFQCoDelSharesFairly(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Kind: FQCoDel, Packets: 1000}})
	sent, bulk := map[uint32]int64{}, map[uint32]bool{}
	var thin []int64
	through := 0
	take := func(end int64) {
		for _, a := range r.drain(end) {
			if bulk[a.id] {
				through++
			} else {
				thin = append(thin, a.at-sent[a.id])
			}
		}
	}
	for i := range int64(20_000) { // 16 Mbit/s of bulk, 80 kbit/s of the other
		now := i * ms / 2
		take(now)
		bulk[r.n] = true
		r.Send(now, r.packet(1000, 1, 0))
		if i%200 == 0 {
			sent[r.n] = now
			r.Send(now, r.packet(1000, 2, 0))
		}
	}
	take(int64(10 * time.Second))
	require.Greater(t, len(thin), 98)
	require.Less(t, mean(thin), 3.1e6, "own time on the line, one frame of the other flow, and what is under way")
	require.InDelta(t, 9_900, through, 100, "the line stays busy")
}

// TestFQCoDelTakesTurns (RFC 8290 4.2): flows of different frame sizes get the
// same bytes.
func TestFQCoDelTakesTurns(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Kind: FQCoDel, Interval: 10 * time.Second, Target: 10 * time.Second}})
	bytes := map[uint16]int{}
	for range 1000 {
		r.Send(0, r.packet(1400, 1, 0))
		r.Send(0, r.packet(200, 3, 0))
	}
	var ps [1]*pbuf.Pbuf
	for bytes[1]+bytes[3] < 200_000 {
		require.Equal(t, 1, r.Receive(r.Next(), ps[:])+boolInt(r.Len() == 0))
		bytes[binary.BigEndian.Uint16(ps[0].Payload()[34:])] += ps[0].TotLen()
		ps[0].Free()
	}
	require.InDelta(t, bytes[1], bytes[3], 2*1514)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFQCoDelShedsTheFattest (RFC 8290 4.1).
func TestFQCoDelShedsTheFattest(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000, Queue: Queue{Kind: FQCoDel, Packets: 100}})
	for i := range 200 {
		r.Send(0, r.packet(1000, 1, 0))
		if i%40 == 0 {
			r.Send(0, r.packet(1000, 2, 0))
		}
	}
	require.Positive(t, r.Stats().QueueFull)
	thin := 0
	q := r.queue.(*fq)
	for i := range q.flows {
		if n := q.flows[i].ring.n; n > 0 && n < 10 {
			thin += n
		}
	}
	require.GreaterOrEqual(t, thin, 4, "all of the thin flow's are still there")
}

// TestMarkCE (RFC 3168 5): only what is ECT gets CE, and the checksum stays right.
func TestMarkCE(t *testing.T) {
	r := newRig(t, Config{})
	for ecn := range uint8(4) {
		for _, tag := range []int{0, 1, 2} {
			f := r.packet(100, 1, 0x28|ecn)
			b := f.Payload()
			for range tag { // insert 802.1Q tags behind the addresses
				copy(b[16:], b[12:96])
				binary.BigEndian.PutUint16(b[12:], uint16(header.EtherTypeVLAN))
			}
			before := append([]byte(nil), b...)
			require.Equal(t, ecn != 0, MarkCE(f))
			ip := b[14+4*tag:][:20]
			if ecn == 0 {
				require.Equal(t, before, b)
			} else {
				require.Equal(t, byte(0x28|3), ip[1])
			}
			require.True(t, (*header.IPv4)(ip).VerifyChecksum(ip))
			f.Free()
		}
		f := r.frame(100)
		b := f.Payload()
		binary.BigEndian.PutUint16(b[12:], uint16(header.EtherTypeIPv6))
		h := (*header.IPv6)(b[14:54])
		h.Encode(&header.IPv6Fields{PayloadLen: 46, NextHeader: header.ProtoUDP, HopLimit: 3, TrafficClass: 0x28 | ecn})
		require.Equal(t, ecn != 0, MarkCE(f))
		if ecn != 0 {
			require.Equal(t, uint8(0x28|3), h.TrafficClass())
		}
		f.Free()
	}
	arp := r.frame(60)
	binary.BigEndian.PutUint16(arp.Payload()[12:], uint16(header.EtherTypeARP))
	require.False(t, MarkCE(arp))
	arp.Free()
}

// TestDropTailMarks (RFC 8257 3.1): all frames that find more than MarkBytes.
func TestDropTailMarks(t *testing.T) {
	r := newRig(t, Config{Rate: 8_000_000, Queue: Queue{Bytes: 100_000, MarkBytes: 10_000}})
	for range 21 {
		r.Send(0, r.packet(1000, 1, 2))
	}
	// One is on the line; the 12th and later of the queue's 20 find over 10 000.
	require.Equal(t, uint64(9), r.Stats().Marked)
}

// FuzzFrame: whatever the bytes are, the frame's parts are looked at within
// bounds, and nothing but the ECN field and the checksum changes.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 14))
	v4 := append(make([]byte, 12), 8, 0, 0x45, 1, 0, 40)
	f.Add(append(v4, make([]byte, 60)...))
	f.Add(append(append(make([]byte, 12), 0x81, 0, 0, 1), append([]byte{0x86, 0xdd, 0x60, 0x20}, make([]byte, 60)...)...))
	pool, err := pbuf.NewPool(pbuf.Config{Small: 8, Buffers: 8, Jumbo: -1, HugePages: pbuf.HugeNever})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2000 {
			return
		}
		p := pool.Alloc(pbuf.LayerLink, len(b), pbuf.KindPool)
		require.NoError(t, p.Take(b))
		h := flowHash(p, 1)
		require.Equal(t, h, flowHash(p, 1))
		marked := MarkCE(p)
		got := p.Payload()
		diff := 0
		for i := range b {
			if got[i] != b[i] {
				diff++
			}
		}
		require.LessOrEqual(t, diff, 3)
		require.True(t, marked || diff == 0)
		p.Free()
	})
}
