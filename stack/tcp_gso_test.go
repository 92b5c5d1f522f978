package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// bigTS is noTS with big segments, which package offload cuts: the wire sees the
// segments that it would see without.
func bigTS() Config {
	cfg := noTS()
	cfg.TCP.GSO = GSOAlways
	return cfg
}

// big is how the queue looks: the data of each segment.
func (t *TCP) queued() (ns []int) {
	for p := t.sndq.Head(); p != nil; p = p.QNext() {
		ns = append(ns, int(seg(p).n))
	}
	return ns
}

func TestTCPBig_OneSegmentManyFrames(t *testing.T) {
	sc := runScript(t, bigTS(), established+`
		write 4500
		> A 1 len=1000 times=4
		>                        # Nagle (RFC 9293 3.7.4)
		< A 1 ack=4001
		> PA 4001 len=500
		acked 4000
	`)
	require.Equal(t, []int{500}, sc.pcb.queued())
	require.Equal(t, uint64(1+4+1), sc.s.stats.TCP.OutSegs, "those on the wire")
	sc.run(`
		nodelay
		write 2500
		> A 4501 len=1000
		> A 5501 len=1000
		> PA 6501 len=500
		< A 1 ack=7001
		acked 3000
	`)
	require.Equal(t, 0, sc.pcb.QueueLen())
}

func TestTCPBig_WritesFillTheLastSegment(t *testing.T) {
	sc := runScript(t, bigTS(), established+`
		write 10
		> PA 1 len=10
	`)
	for _, n := range []int{300, 900, 4000} {
		require.NoError(t, sc.pcb.Write(make([]byte, n), 0))
	}
	require.Equal(t, []int{10, 5200}, sc.pcb.queued())
	sc.run(`
		< A 1 ack=11
		> A 11 len=1000 times=5
		>
		close
		> PFA 5011 len=200
	`)
}

func TestTCPBig_SegmentIsAMultipleOfTheMSS(t *testing.T) {
	cfg := bigTS()
	cfg.TCP.SendBuf = 1 << 20
	sc := runScript(t, cfg, established+`
		write 200000
	`)
	ns := sc.pcb.queued()
	require.Equal(t, []int{10000, 55000, 65000, 65000, 5000}, ns, "the first is cut by the window")
	sc.out = nil
}

// TestTCPBig_RFC9293_3_8_6_WindowEdge: what exceeds the window is cut at a
// multiple of the MSS, the rest waits.
func TestTCPBig_RFC9293_3_8_6_WindowEdge(t *testing.T) {
	sc := runScript(t, bigTS(), `
		listen
		< S 0 mss=1000 win=3700
		> SA 0 ack=1
		< A 1 ack=1 win=3700
		write 8000
		> A 1 len=1000
		> A 1001 len=1000
		> A 2001 len=1000
		>
		< A 1 ack=3001 win=3700
		> A 3001 len=1000
		> A 4001 len=1000
		> A 5001 len=1000
		>
		< A 1 ack=4001 win=3000   # room for one: sent
		> A 6001 len=1000
		>
	`)
	require.Equal(t, []int{2000, 1000, 1000}, sc.pcb.queued())
}

// TestTCPBig_PartialAck: an acknowledgement in the middle of a segment trims it
// in place; a timeout sends an MSS of the rest.
func TestTCPBig_PartialAck(t *testing.T) {
	cfg := bigTS()
	trimmed := 0
	cfg.Hooks.TCPPartialAck = func(_ *TCP, n int) { trimmed += n }
	sc := runScript(t, cfg, established+`
		write 6000
		> A 1 len=1000 times=6
		< A 1 ack=2501
		acked 2500
	`)
	require.Equal(t, 2500, trimmed)
	require.Equal(t, []int{3500}, sc.pcb.queued())
	sc.run(`
		+1100ms
		> A 2501 len=1000
		>
		< A 1 ack=3501
		acked 1000
		> A 3501 len=1000
		> A 4501 len=1000
		>
		< A 1 ack=6001
		acked 2500
	`)
	require.Equal(t, uint64(3), sc.s.stats.TCP.RetransSegs)
}

func TestTCPBig_Hooks(t *testing.T) {
	cfg := bigTS()
	cfg.Hooks.TCPSegmentLen = func(_ *TCP, n int) int { return min(n, 3000) }
	cfg.Hooks.TCPSplit = func(_ *TCP, n, _ int) int { return n / 2 }
	sc := runScript(t, cfg, established+`
		write 12000
		> A 1 len=1000 times=9
	`)
	// The hook may ask for anything, here half of a segment.
	require.Equal(t, []int{3000, 3000, 3000}, sc.pcb.queued()[:3])
	sc.out = nil
}

// TestTCPBig_PortThatCuts: what a port with TSO is given.
func TestTCPBig_PortThatCuts(t *testing.T) {
	for _, mode := range []GSOMode{GSOAuto, GSOAlways, GSONever} {
		var seen []*pbuf.Pbuf
		cfg := pairConfig{}
		cfg.A.Netif.Caps = offload.TSO4 | offload.TxTCPCsum | offload.MultiSeg
		cfg.A.TCP.GSO = mode
		p := newPair(t, cfg)
		out := p.a.nif.output
		p.a.nif.output = func(ps []*pbuf.Pbuf) int {
			for _, q := range ps {
				if q.TotLen() > 200 {
					seen = append(seen, q)
				} else {
					offload.FinishTx(q, offload.TxIPCsum)
					out([]*pbuf.Pbuf{q})
				}
			}
			return len(ps)
		}
		l := p.b.NewTCP()
		l.SetAccept(func(any, *TCP, error) error { return nil })
		require.NoError(t, l.Bind(netip.AddrPortFrom(netip.Addr{}, 80)))
		require.NoError(t, l.Listen(0))
		c := p.a.NewTCP()
		require.NoError(t, c.Connect(netip.AddrPortFrom(p.b.addr(), 80), nil))
		p.run(time.Millisecond)
		require.NoError(t, c.Write(pattern(10000), 0))
		require.NoError(t, c.Output())
		p.flush()
		n := c.MSS()
		if mode == GSONever {
			require.Len(t, seen, 10000/n, "Nagle holds the last back")
			require.Zero(t, seen[0].Flags&pbuf.TxTSO)
		} else {
			require.Len(t, seen, 1)
			q := seen[0]
			require.Equal(t, pbuf.TxTSO|pbuf.TxTCPCsum, q.Flags&(pbuf.TxTSO|pbuf.TxTCPCsum))
			require.Equal(t, uint16(n), q.SegSize)
			hdr := int(q.L2Len) + int(q.L3Len) + int(q.L4Len)
			require.Equal(t, hdr+10000/n*n, q.TotLen())
			b := make([]byte, q.TotLen())
			q.CopyPartial(b, 0)
			require.Equal(t, pattern(10000)[:10000/n*n], b[hdr:])
			tcp := (*header.TCP)(b[int(q.L2Len)+int(q.L3Len):])
			sum := header.PseudoHeader(c.local, c.remote, header.ProtoTCP, uint32(q.TotLen()-int(q.L2Len)-int(q.L3Len)))
			require.Equal(t, sum, tcp.Checksum(), "the pseudo-header's sum")
		}
		for _, q := range seen {
			q.Free()
		}
	}
}

// TestTCPBig_WritePbuf: packets are joined to one segment, without a copy, and
// flags of their reception do not go out.
func TestTCPBig_WritePbuf(t *testing.T) {
	sc := runScript(t, bigTS(), established+`
		write 10
		> PA 1 len=10
	`)
	for range 5 {
		p := sc.pool.Alloc(pbuf.LayerTransport, 1500, pbuf.KindRAM)
		copy(p.Payload(), pattern(1500))
		p.Flags = pbuf.RxLRO | pbuf.RxL4CsumGood
		require.NoError(t, sc.pcb.WritePbuf(p, 0))
	}
	require.Equal(t, []int{10, 7500}, sc.pcb.queued())
	require.Equal(t, 5, sc.pcb.sndq.Tail().ChainLen())
	require.Zero(t, sc.pcb.sndq.Tail().Flags)
	sc.run("< A 1 ack=11")
	require.Len(t, sc.out, 7)
	for i, o := range sc.out {
		at := i * 1000
		for k, b := range o.raw[header.TCPLen:] {
			if want := pattern(1500)[(at+k)%1500]; b != want {
				t.Fatalf("byte %d of segment %d is %d, not %d", k, i, b, want)
			}
		}
	}
	sc.out = nil
}

// TestTCPBig_NoBuffersChangeNothing: a write that can't be kept in full leaves no
// trace, whatever buffer is missing.
func TestTCPBig_NoBuffersChangeNothing(t *testing.T) {
	cfg := bigTS()
	cfg.TCP.SendBuf = 1 << 20
	sc := runScript(t, cfg, established+`
		write 10
		> PA 1 len=10
		write 3000
	`)
	for left := range 400 {
		n := left
		sc.s.hooks.AllocPbuf = func(l pbuf.Layer, size int, k pbuf.Kind) *pbuf.Pbuf {
			if n--; n < 0 {
				return nil
			}
			return sc.pool.Alloc(l, size, k)
		}
		err := sc.pcb.Write(make([]byte, 300_000), 0)
		sc.s.hooks.AllocPbuf = nil
		if err == nil {
			return
		}
		require.ErrorIs(t, err, ErrMem)
		require.Equal(t, []int{10, 3000}, sc.pcb.queued())
		checkInvariants(t, sc.s)
	}
	t.Fatal("never succeeded")
}

// TestTCPBig_Transfer: big segments both ways, over good and bad links, with and
// without chains, in every mix of writers, give the same bytes.
func TestTCPBig_Transfer(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			var bad linkConfig
			if seed >= 2 {
				bad = linkConfig{Loss: 0.01, Dup: 0.005, Reorder: 0.01, Corrupt: 0.001, Seed: seed, Delay: 200 * time.Microsecond}
			}
			cfg := pairConfig{AB: bad, BA: bad}
			cfg.BA.Seed += 1000
			cfg.A.TCP.GSO, cfg.B.TCP.GSO = GSOAlways, GSOAlways
			if seed%2 == 1 {
				cfg.A.Netif.Caps, cfg.B.Netif.Caps = offload.MultiSeg, offload.MultiSeg
			}
			switch seed % 4 {
			case 1:
				cfg.A.TCP.NoTimestamps = true
				cfg.B.TCP.RecvBuf = 20000
			case 2:
				cfg.A.TCP.NoDelay, cfg.A.TCP.SendBuf = true, 1<<20
				cfg.B.TCP.MSS = 536
			case 3:
				cfg.A.TCP.MSS = 100 // maxCut bounds the segment
				cfg.B.TCP.GSO = GSONever
			}
			p := newPair(t, roomy(cfg))
			if seed >= 2 {
				p.a.mayDrop()
				p.b.mayDrop()
			}
			transfer(t, p, 1<<20)
			if seed < 2 {
				require.Zero(t, p.a.stats.TCP.RetransSegs)
			}
		})
	}
}

// TestTCPBig_Paced: of a big segment goes what the pacer lets go within a tick,
// and then what is due a tick later.
func TestTCPBig_Paced(t *testing.T) {
	sc := runScript(t, bigTS(), established)
	sc.pcb.SetMaxPacingRate(3500 * 1_000_000_000 / paceTick) // three and a half a tick
	sc.run(`
		write 10000
		> A 1 len=1000
		> A 1001 len=1000
		> A 2001 len=1000
		> A 3001 len=1000        # the last may begin within the tick
		>
	`)
	require.Equal(t, []int{3000, 1000, 6000}, sc.pcb.queued())
	sc.advance(paceTick)
	sc.run(`
		> A 4001 len=1000
	`)
	require.Less(t, len(sc.out), 5)
	sc.advance(4 * paceTick)
	require.Len(t, sc.out, 5)
	sc.out = nil
}
