package shard

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// faultyPort is a port that fails as it is told to.
type faultyPort struct {
	port.Port
	deaf, mute, lossy atomic.Bool // gives no frames, takes none, takes and loses them
	close             error
}

func (f *faultyPort) RxBurst(q int, now int64, dst []*pbuf.Pbuf) int {
	if f.deaf.Load() {
		return 0
	}
	return f.Port.RxBurst(q, now, dst)
}

func (f *faultyPort) TxBurst(q int, now int64, ps []*pbuf.Pbuf) int {
	switch {
	case f.mute.Load():
		return 0
	case f.lossy.Load():
		pbuf.FreeBatch(ps)
		return len(ps)
	}
	return f.Port.TxBurst(q, now, ps)
}

func (f *faultyPort) Unwrap() port.Port { return f.Port }

// SetRETA hides that of the port inside.
func (f *faultyPort) SetRETA(rss.RETA) error { return errTest }

func (f *faultyPort) Close() error {
	if err := f.Port.Close(); err != nil {
		return err
	}
	return f.close
}

// faultyBed is a bed whose server has a faulty port.
func faultyBed(t testing.TB) (*bed, *faultyPort) {
	f := &faultyPort{}
	bd := newBed(t, bedConfig{wire: wireConfig(2, 2), shardsA: 2, shardsB: 2, edit: func(c *Config, side byte) {
		if side == 'b' {
			f.Port = c.Ports[0].Port
			c.Ports[0].Port = f
		}
	}})
	bd.step(t)
	return bd, f
}

// TestConnectionsOutliveAFaultyPort: a port that takes no frames, gives none, or
// loses all for a while costs time, and no connection; the frames that it did not
// take wait, and are counted.
func TestConnectionsOutliveAFaultyPort(t *testing.T) {
	bd, f := faultyBed(t)
	cs := bd.serve(t, 1, -1, 4000)
	echoed := func() (n int64) {
		for _, c := range cs {
			require.Nil(t, c.err.Load())
			n += c.echoed.Load()
		}
		return n
	}
	for name, fault := range map[string]*atomic.Bool{"takes none": &f.mute, "gives none": &f.deaf, "loses them": &f.lossy} {
		until := echoed() + 50
		bd.run(t, func() bool { return echoed() >= until }, "data flows")
		fault.Store(true)
		for range 5 { // the rest of a burst may be on its way
			bd.step(t)
			bd.now += 1e6
		}
		was, end := echoed(), bd.now+1e9
		for bd.now < end {
			bd.step(t)
			bd.now += 1e6
		}
		require.InDelta(t, was, echoed(), 2, name)
		fault.Store(false)
		bd.run(t, func() bool { return echoed() >= was+50 }, name)
	}
	require.Positive(t, bd.b.Stats().Total.Loop.TxRefused)
	require.Zero(t, bd.b.Stats().Total.Stack.TCP.EstabResets)
}

// A port that can't take a table is warned of; the flows are handed over.
func TestPortThatRefusesATable(t *testing.T) {
	bd, _ := faultyBed(t)
	cs := bd.serve(t, 1, -1, 1000)
	require.NoError(t, bd.b.DrainShard(1))
	require.False(t, bd.b.shards[0].ports[0].ownTable)
	list := bd.b.Warnings()
	require.Len(t, list, 1)
	require.Equal(t, WarnTable, list[0].Kind)
	require.Contains(t, list[0].Text, errTest.Error())
	more := make([]*echoClient, 2)
	require.NoError(t, bd.a.Do(func(s *Shard) error {
		more[s.id] = newEchoClient(s, 20, 2, 1000)
		return more[s.id].open()
	}))
	bd.run(t, func() bool { return done(t, more, 20) && cs[0].echoed.Load() > 10 && cs[1].echoed.Load() > 10 }, "all is echoed")
	n := bd.b.Stats()
	require.Positive(t, n.Total.Loop.HandedFor[CauseResteer])
	require.EqualValues(t, 42, n.Total.Stack.TCP.PassiveOpens)
}

// What a port says when it is closed is what Stop returns, after all else is done.
func TestPortThatFailsToClose(t *testing.T) {
	f := &faultyPort{Port: newFakePort(1), close: errTest}
	g, err := NewGroup(config(2, PortConfig{Port: f}))
	require.NoError(t, err)
	require.NoError(t, g.Start())
	require.ErrorIs(t, g.Stop(), errTest)
	require.ErrorIs(t, g.Wait(), errTest)
}

// TestConnectionsOutliveTheLink: an interface that goes down on all shards loses
// what is sent meanwhile; when it is up again the connections go on (RFC 1122
// 4.2.3.5: only the retransmission limit ends them).
func TestRFC1122_4_2_3_5_ConnectionsOutliveTheLink(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(2, 2), shardsA: 2, shardsB: 2})
	bd.step(t)
	cs := bd.serve(t, 1, -1, 4000)
	for range 3 {
		was := [2]int64{cs[0].echoed.Load(), cs[1].echoed.Load()}
		bd.run(t, func() bool { return cs[0].echoed.Load() > was[0]+20 && cs[1].echoed.Load() > was[1]+20 }, "data flows")
		require.NoError(t, bd.b.SetUp(0, false))
		end := bd.now + 2e9
		for bd.now < end {
			bd.step(t)
			bd.now += 1e6
		}
		require.NoError(t, bd.b.SetUp(0, true))
	}
	bd.run(t, func() bool { return cs[0].echoed.Load() > 80 && cs[1].echoed.Load() > 80 }, "they go on")
	st := bd.b.Stats().Total.Stack
	require.Positive(t, st.Drops[stack.DropNetifDown])
	require.Zero(t, st.TCP.EstabResets)
}

// TestPanicLeavesOtherGroupsAlone: a callback that panics stops its group, whose
// Stop says so with every buffer at home; the other group of the process runs on,
// as its counters, configuration and end show.
func TestPanicLeavesOtherGroupsAlone(t *testing.T) {
	for round := range 2 {
		bd := newBedOf(t, bedConfig{threads: true, wire: wireConfig(2, 2), shardsA: 2, shardsB: 2}, round == 0)
		bd.start(t)
		cs := bd.serve(t, 1, -1, 2000)
		eventually(t, func() bool { return cs[0].echoed.Load() > 5 && cs[1].echoed.Load() > 5 }, "data flows")
		if round == 0 {
			require.NoError(t, bd.a.shards[1].Do(func(*Shard) { panic(errTest) }))
			err := bd.a.Wait()
			require.ErrorIs(t, err, errTest)
			var p *PanicError
			require.ErrorAs(t, err, &p)
			require.Equal(t, 1, p.Shard)
			require.NotErrorIs(t, err, pbuf.ErrLeak)
		}
		require.NoError(t, bd.b.Err())
		got := make([]int, 2)
		require.NoError(t, bd.b.Do(func(s *Shard) error { got[s.id] = s.Connections(); return nil }))
		require.Equal(t, 2, got[0]+got[1], "it does not know yet")
		require.NoError(t, bd.b.AddNeighbor(0, netip.MustParseAddr("10.0.0.99"), header.MAC{2, 9}))
		require.NoError(t, bd.b.Stop())
	}
}
