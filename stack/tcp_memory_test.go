package stack

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// holdBuffers takes standard buffers until left are free, and gives a function
// that gives them back.
func (sc *script) holdBuffers(left int) (release func()) {
	var held pbuf.Queue
	for sc.pool.Avail(pbuf.ClassStandard) > left {
		held.Push(sc.pool.Alloc(pbuf.LayerRaw, 1000, pbuf.KindRAM))
	}
	return func() { held.FreeAll() }
}

// echo makes the connection send back what it gets, the same buffers.
func (sc *script) echo() {
	sc.pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		n := p.TotLen()
		if err := pcb.WritePbuf(p, 0); err != nil {
			return err
		}
		pcb.Recved(n)
		return nil
	})
}

// TestTCPMemory_SmallEchoesMoveToSmallBuffers: thousands of connections that echo
// a few bytes each must not hold every buffer that could receive.
func TestTCPMemory_SmallEchoesMoveToSmallBuffers(t *testing.T) {
	sc := runScript(t, noTS(), established)
	sc.echo()
	full := sc.pool.Cap(pbuf.ClassStandard)
	release := sc.holdBuffers(full / crowdShare)
	echo := func(seq, n int) pbuf.Class {
		sc.run(fmt.Sprintf("< PA %d len=%d ack=%d\n> PA %d len=%d ack=%d", seq, n, seq, seq, n, seq+n))
		return sc.pcb.sndq.Tail().Last().Class()
	}
	const n = pbuf.SmallRoom // with headers it comes in a large buffer
	require.Equal(t, pbuf.ClassSmall, echo(1, n))
	require.Equal(t, full/crowdShare, sc.pool.Avail(pbuf.ClassStandard), "the large one is free")
	release()
	require.Equal(t, pbuf.ClassStandard, echo(1+n, n), "not copied while there are many")
	sc.s.asIfMany()
	require.Equal(t, pbuf.ClassSmall, echo(1+2*n, n), "with very many connections it would come back cold")
	require.Equal(t, pbuf.ClassStandard, echo(1+3*n, n+1), "what does not fit is not copied")
}

// TestTCPMemory_SmallEchoesKeepToTheMSS: nor does what goes to a small buffer become a
// segment that is too long.
func TestTCPMemory_SmallEchoesKeepToTheMSS(t *testing.T) {
	sc := newScript(t, noTS())
	sc.run(`
		listen
		< S 0 mss=100
		> SA 0
		< A 1 ack=1
	`)
	sc.echo()
	sc.pcb.SetNoDelay(true)
	sc.s.asIfMany()
	sc.run(`
		< PA 1 len=150 ack=1
		> A 1 len=100 ack=151
		> PA 101 len=50 ack=151
		< PA 151 len=90 ack=151
		> PA 151 len=90 ack=241
	`)
	require.Equal(t, pbuf.ClassSmall, sc.pcb.sndq.Tail().Last().Class())
}

// TestTCPMemory_LastBuffersAreForAcknowledgements: with hardly a buffer left data
// is dropped, for the peer to send again; an acknowledgement is not.
func TestTCPMemory_LastBuffersAreForAcknowledgements(t *testing.T) {
	sc := runScript(t, noTS(), established+`
		write 1000
		> A 1 len=1000
	`)
	release := sc.holdBuffers(sc.pool.Cap(pbuf.ClassStandard)/starveShare - 1)
	sc.run(`
		< PA 1 len=1000 ack=1
		>
		< A 1 ack=1001
		acked 1000
	`)
	require.Equal(t, uint64(1), sc.s.stats.Drops[DropNoBuf])
	require.Zero(t, sc.got)
	release()
	sc.run(`
		< PA 1 len=1000 ack=1001
	`)
	require.Equal(t, 1000, sc.got)
}

// TestTCPMemory_ManyPCBsAreToldOf: memory for PCBs is no one's business while they
// are few; then the hook hears of all of it, once.
func TestTCPMemory_ManyPCBsAreToldOf(t *testing.T) {
	total, calls := uintptr(0), 0
	h := newHost(t, hostConfig{Config: Config{Hooks: Hooks{LargeMemory: func(start, n uintptr) {
		require.NotZero(t, start)
		total += n
		calls++
	}}}})
	var pcbs []*TCP
	for range slabFrom * pcbChunk {
		pcbs = append(pcbs, h.NewTCP())
	}
	require.Zero(t, calls)
	pcbs = append(pcbs, h.NewTCP())
	require.Equal(t, slabFrom+1, calls)
	require.Equal(t, slabFrom*chunkBytes+slabBytes, total)
	require.Len(t, h.tcp.chunks, slabFrom+slabSize)
	for _, pcb := range pcbs {
		pcb.Abort()
	}
}
