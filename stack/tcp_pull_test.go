package stack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// streamByte is byte off of the stream that the tests pull.
func streamByte(off uint64) byte { return byte(off*7 ^ off>>8) }

// stream is a source that counts how often it is asked.
type stream struct {
	asked, calls int
	limit        uint64 // it has so many bytes for now
	end          uint64 // and so many in all; 0: no end
}

func (s *stream) pull(_ any, _ *TCP, off uint64, b []byte) int {
	s.calls++
	if s.end != 0 && off >= s.end {
		return PullEnd
	}
	n := len(b)
	if s.limit > off {
		n = min(n, int(s.limit-off))
	} else if s.limit != 0 {
		n = 0
	}
	if s.end != 0 {
		n = min(n, int(s.end-off))
	}
	for i := range b[:n] {
		b[i] = streamByte(off + uint64(i))
	}
	s.asked += n
	return n
}

// checkStream asserts that segments carry the stream, seq 1 being offset 0.
func (sc *script) checkStream() {
	sc.t.Helper()
	for _, o := range sc.out {
		off := uint64(o.seq.Sub(sc.iss[peerPort])) - 1
		for i, b := range o.raw[len(o.raw)-o.n:] {
			if b != streamByte(off+uint64(i)) {
				sc.t.Fatalf("byte %d of the stream is %d", off+uint64(i), b)
			}
		}
	}
}

func TestPull_MadeWhenTheWindowOpens(t *testing.T) {
	src := &stream{}
	sc := runScript(t, noTS(), established)
	full := sc.pool.Avail(pbuf.ClassSmall)
	require.NoError(t, sc.pcb.Pull(PullConfig{Func: src.pull, Total: 25500, Fin: true}))
	sc.s.Flush(sc.now)
	checkInvariants(t, sc.s)
	require.Equal(t, 10000, src.asked, "what the window lets out, and no more")
	require.Equal(t, 1, sc.pcb.QueueLen(), "one segment stands for all that left at once")
	require.Equal(t, full-1, sc.pool.Avail(pbuf.ClassSmall))
	require.Equal(t, sc.pool.Cap(pbuf.ClassStandard), sc.pool.Avail(pbuf.ClassStandard), "no send buffer")
	require.ErrorIs(t, sc.pcb.Write([]byte{1}, 0), ErrConn)
	sc.checkStream()
	sc.run(`
		> A 1 len=1000 times=9
		> PA 9001 len=1000
		>
		< A 1 ack=10001
		acked 10000
	`)
	next := 10001
	for len(sc.out) > 1 || len(sc.out) == 1 && sc.out[0].n != 500 {
		sc.checkStream()
		next += 1000 * len(sc.out)
		if last := sc.out[len(sc.out)-1]; last.n == 500 {
			sc.out = sc.out[len(sc.out)-1:]
			break
		}
		sc.out = nil
		sc.run(fmt.Sprintf("< A 1 ack=%d", next))
	}
	sc.run(`
		> PFA 25001 len=500
		state FIN-WAIT-1
		< A 1 ack=25502
		state FIN-WAIT-2
		acked 15500
	`)
	require.Equal(t, 25500, src.asked)
	require.Zero(t, sc.pcb.QueueLen())
	require.Equal(t, full, sc.pool.Avail(pbuf.ClassSmall))
	require.Equal(t, sc.s.cfg.TCP.SendBuf, sc.pcb.SndBuf())
}

func TestPull_AsksAgainForARetransmission(t *testing.T) {
	src := &stream{}
	sc := runScript(t, noTS(), established)
	require.NoError(t, sc.pcb.Pull(PullConfig{Func: src.pull, Total: 4000}))
	sc.s.Flush(sc.now)
	sc.out = nil
	sc.run(`
		< A 1 ack=1501
		acked 1500
		+1100ms
	`)
	require.Equal(t, 5000, src.asked)
	sc.checkStream()
	sc.run(`
		> PA 1501 len=1000
		>
		< A 1 ack=4001
		acked 2500
		write 10
		> PA 4001 len=10          # the stream has ended, the connection has not
	`)
}

func TestPull_SourceRunsDryAndGoesOn(t *testing.T) {
	src := &stream{limit: 1500, end: 3200}
	sc := runScript(t, noTS(), established)
	require.NoError(t, sc.pcb.Pull(PullConfig{Func: src.pull}))
	sc.s.Flush(sc.now)
	sc.run(`
		> A 1 len=1000
		> PA 1001 len=500
		< A 1 ack=1501
		acked 1500
		>
	`)
	calls := src.calls
	sc.run(`
		+10s
		< A 1 len=10 ack=1501
	`)
	require.Equal(t, calls, src.calls, "not asked in vain")
	sc.out = nil
	src.limit = 3000
	sc.pcb.PullReady()
	sc.s.Flush(sc.now)
	sc.run(`
		> A 1501 len=1000
		> PA 2501 len=500
	`)
	src.limit = 0
	sc.pcb.PullReady()
	sc.s.Flush(sc.now)
	sc.run(`
		> PA 3001 len=200
		> FA 3201
		< A 11 ack=3202
		acked 1700
		state FIN-WAIT-2
	`)
	sc.out = nil
}

func TestPull_FromARegion(t *testing.T) {
	r, err := pbuf.NewRegion(3000)
	require.NoError(t, err)
	for i := range r.Bytes() {
		r.Bytes()[i] = byte(i % 251)
	}
	for _, cfg := range []Config{noTS(), bigTS()} {
		sc := runScript(t, cfg, established)
		require.NoError(t, sc.pcb.Pull(PullConfig{Region: r, Start: 500, Len: 2500, Total: 8000, Fin: true}))
		sc.s.Flush(sc.now)
		require.Len(t, sc.out, 8)
		for _, o := range sc.out {
			off := int(o.seq.Sub(sc.iss[peerPort])) - 1
			for i, b := range o.raw[len(o.raw)-o.n:] {
				if want := r.Bytes()[500+(off+i)%2500]; b != want {
					t.Fatalf("byte %d is %d, not %d", off+i, b, want)
				}
			}
		}
		require.Zero(t, r.Refs(), "nothing in flight refers to it")
		sc.out = nil
		sc.run(`
			< A 1 ack=8002
			acked 8000
			state FIN-WAIT-2
		`)
	}
	require.NoError(t, r.Close())
}

func TestPull_ZeroWindowIsProbed(t *testing.T) {
	src := &stream{}
	sc := runScript(t, noTS(), `
		listen
		< S 0 mss=1000 win=1000
		> SA 0 ack=1
		< A 1 ack=1 win=1000
	`)
	require.NoError(t, sc.pcb.Pull(PullConfig{Func: src.pull, Total: 5000, Fin: true}))
	sc.s.Flush(sc.now)
	sc.run(`
		> A 1 len=1000
		< A 1 ack=1001 win=0
		>
		+1100ms
		> PA 1001 len=1
		< A 1 ack=1001 win=0
		+2500ms
		> PA 1001 len=1
		< A 1 ack=1001 win=5000
		> PA 1001 len=1
		> A 1002 len=1000
		> A 2002 len=1000
		> A 3002 len=1000
		> PFA 4002 len=999
		< A 1 ack=5002
		acked 5000
	`)
}

func TestPull_Errors(t *testing.T) {
	src := &stream{}
	r, err := pbuf.NewRegion(100)
	require.NoError(t, err)
	sc := runScript(t, noTS(), established)
	for _, bad := range []PullConfig{
		{}, {Func: src.pull, Region: r}, {Region: r, Start: 101}, {Region: r, Start: -1}, {Region: r, Start: 50, Len: 51}, {Region: r, Len: -1},
	} {
		require.ErrorIs(t, sc.pcb.Pull(bad), ErrVal)
	}
	require.NoError(t, sc.pcb.Pull(PullConfig{Region: r}))
	require.ErrorIs(t, sc.pcb.Pull(PullConfig{Region: r}), ErrConn)
	sc.run(`
		close
		state FIN-WAIT-1
	`)
	sc.out = sc.out[10:]
	sc.run(`
		> FA 10001
		< A 1 ack=10002
		>
		state FIN-WAIT-2
	`)
	require.NoError(t, r.Close())
}

// TestPull_NoBuffers: a source for which there is no buffer now is asked later.
func TestPull_NoBuffers(t *testing.T) {
	src := &stream{}
	sc := runScript(t, noTS(), established)
	sc.s.hooks.AllocPbuf = func(pbuf.Layer, int, pbuf.Kind) *pbuf.Pbuf { return nil }
	require.ErrorIs(t, sc.pcb.Pull(PullConfig{Func: src.pull, Total: 1000}), ErrMem)
	sc.s.hooks.AllocPbuf = nil
	sc.run(`
		+1100ms
		> PA 1 len=1000
		< A 1 ack=1001
		acked 1000
	`)
}

// TestPull_Transfer: a stream arrives whole over links that lose, duplicate and
// reorder, with and without SACK, timestamps and big segments.
func TestPull_Transfer(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bad := linkConfig{Seed: seed, Delay: 2 * time.Millisecond}
			if seed > 1 {
				bad.Loss, bad.Dup, bad.Reorder = 0.02, 0.01, 0.01
			}
			cfg := roomy(pairConfig{AB: bad, BA: bad})
			cfg.BA.Seed += 100
			cfg.A.TCP.NoSACK = seed%4 == 3
			cfg.A.TCP.NoTimestamps = seed%3 == 2
			if seed%2 == 1 {
				cfg.A.TCP.GSO = GSOAlways
				cfg.A.Netif.Caps = offload.MultiSeg
			}
			p := newPair(t, cfg)
			p.a.mayDrop()
			p.b.mayDrop()
			pullOver(t, p, rand.New(rand.NewPCG(seed, 9)))
		})
	}
}

// pullOver sends a megabyte, of which the source has more now and then.
func pullOver(t *testing.T, p *pair, rng *rand.Rand) {
	const total = 1 << 20
	src := &stream{limit: 1, end: total}
	got, eof := uint64(0), false
	l := p.b.NewTCP()
	require.NoError(t, l.Bind(netip.AddrPortFrom(netip.Addr{}, 80)))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, q *pbuf.Pbuf, _ error) error {
			if q == nil {
				eof = true
				return nil
			}
			for i := range q.TotLen() {
				if q.GetAt(i) != streamByte(got+uint64(i)) {
					t.Fatalf("byte %d is wrong", got+uint64(i))
				}
			}
			n := q.TotLen()
			got += uint64(n)
			q.Free()
			pcb.Recved(n)
			return nil
		})
		return nil
	})
	require.NoError(t, l.Listen(0))
	c := p.a.NewTCP()
	acked := 0
	c.SetSent(func(_ any, _ *TCP, n int) error { acked += n; return nil })
	require.NoError(t, c.Connect(netip.AddrPortFrom(p.b.addr(), 80), func(_ any, pcb *TCP, err error) error {
		return pcb.Pull(PullConfig{Func: src.pull})
	}))
	for end := p.now + int64(5*time.Minute); !eof; {
		if src.limit <= total && rng.IntN(4) == 0 {
			src.limit = min(total+1, src.limit+uint64(rng.IntN(100_000)))
			if c.state == StateEstablished {
				c.PullReady()
			}
		}
		require.True(t, p.step(end) || src.limit <= total, "stuck at %d: %+v", got, c.Info())
		if rng.IntN(20) == 0 {
			checkInvariants(t, p.a.Stack)
		}
	}
	require.Equal(t, uint64(total), got)
	p.run(time.Second)
	require.Equal(t, total, acked)
}

// TestPull_AllocatesNothing: pulling, once warm, makes no garbage.
func TestPull_AllocatesNothing(t *testing.T) {
	src := &stream{}
	sc := runScript(t, noTS(), established)
	sc.nif.output = func(ps []*pbuf.Pbuf) int {
		for _, p := range ps {
			p.Free()
		}
		return len(ps)
	}
	c := sc.pcb
	require.NoError(t, c.Pull(PullConfig{Func: src.pull}))
	allocs := testing.AllocsPerRun(100, func() {
		sc.now += int64(time.Millisecond)
		sc.s.SetNow(sc.now)
		c.ackAdvance(c.sndMax, 0)
		_ = c.Output()
		sc.s.Flush(sc.now)
	})
	if !bufferChecks {
		require.Zero(t, allocs)
	}
	require.Greater(t, src.asked, 100*5000)
	require.Equal(t, 1, c.QueueLen())
}
