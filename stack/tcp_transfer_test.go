package stack

import (
	"fmt"
	"hash"
	"net/netip"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// flow sends total bytes and hashes what comes in.
type flow struct {
	pcb     *TCP
	block   []byte
	total   int
	sent    int
	got     int
	outHash hash.Hash64
	inHash  hash.Hash64
	eof     bool
	err     error
	chunk   int
}

func newFlow(total, chunk int) *flow {
	f := &flow{total: total, chunk: chunk, block: make([]byte, 1<<16), outHash: xxhash.New(), inHash: xxhash.New()}
	for i := range f.block {
		f.block[i] = byte(i * 7 >> 3)
	}
	return f
}

func (f *flow) attach(pcb *TCP) {
	f.pcb = pcb
	pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			f.eof = true
			return nil
		}
		n := p.TotLen()
		for q := p; q != nil; q = q.Next() {
			_, _ = f.inHash.Write(q.Payload())
		}
		p.Free()
		f.got += n
		pcb.Recved(n)
		return nil
	})
	pcb.SetSent(func(_ any, _ *TCP, _ int) error { return f.push() })
	pcb.SetErr(func(_ any, err error) { f.err = err })
}

// push writes what fits, then closes the sending side.
func (f *flow) push() error {
	for f.sent < f.total && f.pcb.SndBuf() > 0 {
		at := f.sent % len(f.block)
		n := min(f.chunk, f.total-f.sent, len(f.block)-at, f.pcb.SndBuf())
		if f.pcb.Write(f.block[at:at+n], 0) != nil {
			return nil
		}
		_, _ = f.outHash.Write(f.block[at : at+n])
		f.sent += n
	}
	if f.sent == f.total {
		_ = f.pcb.Shutdown(false, true)
	}
	return nil
}

// transfer sends bytes both ways at once over a pair and compares hashes.
func transfer(t *testing.T, p *pair, total int) (a, b *flow) {
	t.Helper()
	a, b = newFlow(total, 7000), newFlow(total, 16000)
	l := p.b.NewTCP()
	require.NoError(t, l.Bind(netip.AddrPortFrom(netip.Addr{}, 80)))
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		b.attach(pcb)
		return b.push()
	})
	require.NoError(t, l.Listen(0))
	c := p.a.NewTCP()
	a.attach(c)
	require.NoError(t, c.Connect(netip.AddrPortFrom(p.b.addr(), 80), func(any, *TCP, error) error { return a.push() }))
	for range 3600 * 10 {
		if a.eof && b.eof || a.err != nil && a.err != ErrClosed || b.err != nil && b.err != ErrClosed {
			break
		}
		p.run(100 * time.Millisecond)
		checkInvariants(t, p.a.Stack)
		checkInvariants(t, p.b.Stack)
	}
	require.True(t, a.eof && b.eof, "a: %d of %d, %v; b: %d of %d, %v", a.got, total, a.err, b.got, total, b.err)
	require.Equal(t, total, a.got)
	require.Equal(t, total, b.got)
	require.Equal(t, a.outHash.Sum64(), b.inHash.Sum64())
	require.Equal(t, b.outHash.Sum64(), a.inHash.Sum64())
	return a, b
}

// roomy gives both hosts of a pair enough buffers for full windows.
func roomy(cfg pairConfig) pairConfig {
	cfg.A.Bufs = pbuf.Config{Small: 4096, Buffers: 8192}
	cfg.B.Bufs = cfg.A.Bufs
	return cfg
}

func TestTCPTransferClean(t *testing.T) {
	p := newPair(t, roomy(pairConfig{}))
	transfer(t, p, 20<<20)
	require.Zero(t, p.a.stats.TCP.RetransSegs)
	require.Zero(t, p.b.stats.TCP.RetransSegs)
	require.Zero(t, p.a.stats.Drops[DropTCPSeq]+p.b.stats.Drops[DropTCPSeq])
}

// TestTCPTransferBadLink: loss, duplication, reordering and corruption, with
// windows and options of all kinds; every byte arrives, once and in order.
func TestTCPTransferBadLink(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bad := linkConfig{Loss: 0.02, Dup: 0.01, Reorder: 0.02, Corrupt: 0.002, Seed: seed, Delay: 200 * time.Microsecond}
			cfg := pairConfig{AB: bad, BA: bad}
			cfg.BA.Seed += 1000
			switch seed % 4 {
			case 1:
				cfg.A.TCP.NoTimestamps = true
				cfg.B.TCP.RecvBuf = 8000
			case 2:
				cfg.A.TCP.NoWindowScale, cfg.A.TCP.RecvBuf = true, 30000
				cfg.B.TCP.MSS = 536
			case 3:
				cfg.A.TCP.MaxOutOfOrder = 3000
				cfg.B.TCP.SendBuf = 5000
				cfg.B.TCP.DelayedAck = -1
			}
			p := newPair(t, roomy(cfg))
			p.a.mayDrop()
			p.b.mayDrop()
			transfer(t, p, 2<<20)
			require.NotZero(t, p.a.stats.TCP.RetransSegs)
		})
	}
}

// TestTCPTransferDeterministic: the same seed gives the same packets.
func TestTCPTransferDeterministic(t *testing.T) {
	run := func(seed uint64) (Stats, int64) {
		cfg := pairConfig{AB: linkConfig{Loss: 0.02, Reorder: 0.02, Seed: seed}, BA: linkConfig{Loss: 0.02, Seed: seed + 1}}
		p := newPair(t, roomy(cfg))
		p.a.mayDrop()
		p.b.mayDrop()
		transfer(t, p, 1<<20)
		return p.a.stats, p.now
	}
	s1, t1 := run(7)
	s2, t2 := run(7)
	s3, _ := run(8)
	require.Equal(t, s1, s2)
	require.Equal(t, t1, t2)
	require.NotEqual(t, s1, s3)
}
