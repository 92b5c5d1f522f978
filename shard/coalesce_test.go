package shard

import (
	"hash"
	"net/netip"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/stack"
)

func TestGROPolicyStrings(t *testing.T) {
	for p := GROAuto; p <= GRONever; p++ {
		got, err := ParseGROPolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	_, err := ParseGROPolicy("sometimes")
	require.ErrorIs(t, err, ErrConfig)
	require.Equal(t, "invalid", GROPolicy(9).String())
	cfg := config(1)
	cfg.GRO = 9
	require.ErrorIs(t, cfg.Validate(), ErrConfig)
}

// bulkOverWire sends n bytes from a to b in a bed whose ends have the policy
// and caps, and returns both ends' counters.
func bulkOverWire(t *testing.T, policy GROPolicy, caps offload.Caps, n int) (a, b Loop) {
	c := bedConfig{edit: func(c *Config, _ byte) { c.GRO = policy }}
	c.wire.A.Caps, c.wire.B.Caps = caps, caps
	c.wire.A.QueueLen, c.wire.B.QueueLen = 256, 256
	bd := newBed(t, c)
	var in, out hash.Hash64 = xxhash.New(), xxhash.New()
	got := 0
	l := bd.b.Shards()[0].Stack().NewTCP()
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			for q := p; q != nil; q = q.Next() {
				in.Write(q.Payload())
			}
			got += p.TotLen()
			pcb.Recved(p.TotLen())
			p.Free()
			return nil
		})
		return nil
	})
	require.NoError(t, l.Bind(netip.MustParseAddrPort(addrB+":9")))
	require.NoError(t, l.Listen(1))
	s := bd.a.Shards()[0].Stack()
	buf, left := make([]byte, 8192), n
	send := func(pcb *stack.TCP) error {
		for left > 0 && pcb.SndBuf() > 0 {
			k := min(left, pcb.SndBuf(), len(buf))
			for i := range buf[:k] {
				buf[i] = byte(left + i*7)
			}
			if err := pcb.Write(buf[:k], stack.WriteMore); err != nil {
				break
			}
			out.Write(buf[:k])
			if left -= k; left == 0 {
				return pcb.Close()
			}
		}
		return nil
	}
	pcb := s.NewTCP()
	pcb.SetSent(func(_ any, pcb *stack.TCP, _ int) error { return send(pcb) })
	require.NoError(t, pcb.Connect(netip.MustParseAddrPort(addrB+":9"), func(_ any, pcb *stack.TCP, _ error) error {
		return send(pcb)
	}))
	bd.run(t, func() bool { return got == n }, "bulk")
	require.Equal(t, out.Sum64(), in.Sum64())
	a, b = bd.a.Shards()[0].Snapshot().Loop, bd.b.Shards()[0].Snapshot().Loop
	l.Close()
	return a, b
}

// A bulk transfer comes in large packets by default; acknowledgements, which
// are never joined, are soon no longer looked at.
func TestGROAutoJoinsBulk(t *testing.T) {
	a, b := bulkOverWire(t, GROAuto, 0, 1<<20)
	require.Greater(t, b.GROJoined, b.RxPackets/2)
	require.Positive(t, b.GROPackets)
	require.Zero(t, a.GROJoined)
	require.Less(t, a.GROFrames, a.RxPackets/2+groMaxWait)
}

func TestGROAlwaysLooksAtAll(t *testing.T) {
	a, b := bulkOverWire(t, GROAlways, 0, 1<<20)
	require.Equal(t, b.RxPackets, b.GROFrames)
	require.Equal(t, a.RxPackets, a.GROFrames)
	require.Greater(t, b.GROJoined, b.RxPackets/2)
}

func TestGRONeverLeavesPacketsAlone(t *testing.T) {
	a, b := bulkOverWire(t, GRONever, 0, 1<<20)
	require.Zero(t, a.GROFrames+b.GROFrames)
}

// A port that joins packets itself is left alone.
func TestGROLeavesPortsWithLROAlone(t *testing.T) {
	_, b := bulkOverWire(t, GROAlways, offload.Software, 1<<20)
	require.Zero(t, b.GROFrames)
}

// GROAuto waits twice as long each time that nothing was there to be joined,
// and stays as soon as something is.
func TestGROAutoBacksOff(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	c := newCoalescer(&Config{})
	burst := func(step uint32) (joined, looked bool) {
		ps := make([]*pbuf.Pbuf, 8)
		for i := range ps {
			ps[i] = segmentOf(pool, header.Seq(1000+uint32(i)*step), 100)
		}
		before := c.gro.Stats().Frames
		out := c.burst(ps)
		n := len(out)
		pbuf.FreeBatch(out)
		return n < 8, c.gro.Stats().Frames != before
	}
	var looks []int
	for i := range 300 {
		if joined, looked := burst(500); looked { // holes between them
			require.False(t, joined)
			looks = append(looks, i)
		}
	}
	require.Equal(t, []int{0, 2, 6, 14, 30, 62, 126, 191, 256}, looks)
	for range 64 { // in line from here on: found at the next look, and ever after
		burst(100)
	}
	for range 10 {
		joined, looked := burst(100)
		require.True(t, looked)
		require.True(t, joined)
	}
	// Bursts of few frames are not worth it, and say nothing.
	few := []*pbuf.Pbuf{segmentOf(pool, 1, 100), segmentOf(pool, 101, 100)}
	require.Len(t, c.burst(few), 2)
	require.Zero(t, c.wait)
	pbuf.FreeBatch(few)
}

// segmentOf makes a frame of n bytes of data that the port has verified.
func segmentOf(pool *pbuf.Pool, seq header.Seq, n int) *pbuf.Pbuf {
	const hdr = header.EthernetLen + header.IPv4Len + header.TCPLen
	p := pool.Alloc(pbuf.LayerRaw, hdr+n, pbuf.KindRAM)
	b := p.Payload()
	clear(b)
	b[12], b[13] = 8, 0
	(*header.IPv4)(b[14:]).Encode(&header.IPv4Fields{
		TotalLen: uint16(hdr - header.EthernetLen + n), TTL: 64, Protocol: header.ProtoTCP, DontFragment: true,
		Src: header.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: header.AddrFrom4([4]byte{10, 0, 0, 2}),
	})
	(*header.TCP)(b[34:]).Encode(&header.TCPFields{
		SrcPort: 1, DstPort: 2, Seq: seq, Flags: header.TCPAck, HdrLen: header.TCPLen, Window: 1000,
	})
	p.Flags |= pbuf.RxIPCsumGood | pbuf.RxL4CsumGood
	return p
}
