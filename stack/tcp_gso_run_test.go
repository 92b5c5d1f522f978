package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// sentData checks that each segment sent carries the part of data that its
// sequence number says, and forgets them.
func (sc *script) sentData(t *testing.T, data []byte, first header.Seq) (n int) {
	t.Helper()
	for _, o := range sc.out {
		h := (*header.TCP)(o.raw)
		b := o.raw[h.HdrLen():]
		off := int(h.Seq().Sub(first))
		require.Equal(t, data[off:off+len(b)], b)
		n += len(b)
	}
	sc.out = nil
	return n
}

// TestRun_FramesAreTheBuffers: what is sent are the buffers that the data was
// copied to, and nothing else; they are freed one by one.
func TestRun_FramesAreTheBuffers(t *testing.T) {
	sc := runScript(t, bigTS(), established)
	data := pattern(5700)
	first := sc.pcb.sndNxt
	small, standard := sc.pool.Avail(pbuf.ClassSmall), sc.pool.Avail(pbuf.ClassStandard)
	avail := func() int {
		require.Equal(t, small, sc.pool.Avail(pbuf.ClassSmall))
		return standard - sc.pool.Avail(pbuf.ClassStandard)
	}
	sc.pcb.SetNoDelay(true)
	require.NoError(t, sc.pcb.Write(data[:2500], 0))
	require.NoError(t, sc.pcb.Write(data[2500:2700], 0), "behind the last of the run")
	require.NoError(t, sc.pcb.Write(data[2700:], 0))
	require.Equal(t, []int{5700}, sc.pcb.queued())
	g := seg(sc.pcb.sndq.Head())
	require.True(t, g.run)
	require.Equal(t, 6, avail())
	for q, n := sc.pcb.sndq.Head(), 5700; q != nil; q = q.Next() {
		sum, ok := q.DataSum(q.Len())
		require.True(t, ok)
		require.Equal(t, header.Checksum(q.Payload(), 0), sum)
		require.Equal(t, n, q.TotLen())
		n -= q.Len()
	}
	require.NoError(t, sc.pcb.Output())
	sc.s.Flush(sc.now)
	require.Equal(t, 6, avail())
	require.Len(t, sc.out, 6)
	require.Equal(t, 5700, sc.sentData(t, data, first))
	require.True(t, seg(sc.pcb.sndq.Head()).apart)
	checkInvariants(t, sc.s)

	sc.run("< A 1 ack=2001\nacked 2000")
	require.Equal(t, []int{3700}, sc.pcb.queued())
	require.Equal(t, 4, avail())
	sc.run("< A 1 ack=2501\nacked 500") // in the middle of one: together again, and trimmed
	require.Equal(t, []int{3200}, sc.pcb.queued())
	require.Equal(t, 4, avail())
	checkInvariants(t, sc.s)
	sc.run("+1100ms")
	require.Equal(t, 1000, sc.sentData(t, data, first), "an MSS after a timeout")
	sc.run("< A 1 ack=5701\nacked 3200")
	require.Equal(t, 0, avail())
}

// TestRun_SentAgainWhileThePortHoldsIt: frames that the port has not sent stay as
// they are; what is sent again refers to their data.
func TestRun_SentAgainWhileThePortHoldsIt(t *testing.T) {
	for _, caps := range []offload.Caps{0, offload.MultiSeg} {
		sc := runScript(t, bigTS(), established)
		sc.pcb.nif.caps = caps
		data := pattern(6000)
		first := sc.pcb.sndNxt
		var kept []*pbuf.Pbuf
		out := sc.pcb.nif.output
		sc.pcb.nif.output = func(ps []*pbuf.Pbuf) int {
			for _, p := range ps {
				p.Ref()
			}
			kept = append(kept, ps...)
			return out(ps)
		}
		require.NoError(t, sc.pcb.Write(data, 0))
		require.NoError(t, sc.pcb.Output())
		sc.s.Flush(sc.now)
		require.Equal(t, 6000, sc.sentData(t, data, first))
		frames := len(kept)
		require.Equal(t, 6, frames)
		before := make([]string, frames)
		for i, p := range kept {
			before[i] = string(p.Payload())
		}
		sc.run("< A 1 ack=1501") // freed is what is covered whole; the rest is held
		require.Equal(t, []int{5000}, sc.pcb.queued())
		checkInvariants(t, sc.s)
		sc.run("+1100ms") // cut while it is held
		require.Equal(t, []int{1000, 4000}, sc.pcb.queued())
		sc.run("< A 1 ack=2001")
		require.Positive(t, sc.sentData(t, data, first))
		for i, p := range kept[:frames] {
			require.Equal(t, before[i], string(p.Payload()), "frame %d", i)
		}
		for _, p := range kept {
			p.Free()
		}
		sc.pcb.nif.output = out
		sc.run("< A 1 ack=6001")
		require.Empty(t, sc.pcb.queued())
		sc.out = nil
	}
}

// TestRun_Aborted: with the connection the frames go that the port does not hold.
func TestRun_Aborted(t *testing.T) {
	sc := runScript(t, bigTS(), established)
	avail := sc.pool.Avail(pbuf.ClassStandard)
	require.NoError(t, sc.pcb.Write(pattern(6000), 0))
	require.NoError(t, sc.pcb.Output())
	sc.s.Flush(sc.now)
	require.True(t, seg(sc.pcb.sndq.Head()).apart)
	sc.pcb.Abort()
	require.Equal(t, avail, sc.pool.Avail(pbuf.ClassStandard))
	sc.out = nil
}
