package shard

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/mem"
)

// secondWire gives both groups of a bed a port more, joined by a wire.
func secondWire(t *testing.T, bd *bed) {
	t.Helper()
	endA, endB, err := mem.New(wireConfig(2, 2))
	require.NoError(t, err)
	i, err := bd.a.AddPort(PortConfig{Port: endA, Name: "second", Addrs: prefixes("10.1.0.1/24")})
	require.NoError(t, err)
	require.Equal(t, 1, i)
	i, err = bd.b.AddPort(PortConfig{Port: endB, Addrs: prefixes("10.1.0.2/24")})
	require.NoError(t, err)
	require.Equal(t, 1, i)
	require.Equal(t, "second", bd.a.Shards()[1].Netif(1).Name())
}

// echoOver opens connections to a server on one of the nets, and requires that
// all packets find their shards by themselves.
func echoOver(t *testing.T, bd *bed, to string) {
	t.Helper()
	saved := echoAddr
	defer func() { echoAddr = saved }()
	echoAddr = netip.MustParseAddrPort(to)
	cs := bd.serve(t, 10, 3, 2000)
	bd.run(t, func() bool { return done(t, cs, 10) }, "all is echoed over "+to)
	for _, g := range []*Group{bd.a, bd.b} {
		require.Zero(t, g.Stats().Total.Loop.HandedOut)
	}
}

func TestAddPortInSimulatedTime(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(2, 2), shardsA: 2, shardsB: 2})
	echoOver(t, bd, addrB+":7")
	secondWire(t, bd)
	echoOver(t, bd, "10.1.0.2:7")
	require.Len(t, bd.a.Stats().Ports, 2)
	require.NoError(t, bd.a.AddAddr(1, netip.MustParsePrefix("10.1.0.3/24")))
}

// The shards run, some of them on threads, and get a port in between.
func TestAddPortToRunningGroups(t *testing.T) {
	for _, own := range []bool{false, true} {
		bd := newBed(t, bedConfig{wire: wireConfig(2, 2), shardsA: 2, shardsB: 2, threads: true, edit: func(c *Config, _ byte) {
			c.OwnThread = own
		}})
		bd.start(t)
		saved := echoAddr
		defer func() { echoAddr = saved }()
		for round, to := range []string{addrB + ":7", "10.1.0.2:7"} {
			if round == 1 {
				secondWire(t, bd)
			}
			echoAddr = netip.MustParseAddrPort(to)
			cs := bd.serve(t, 5, 3, 1000)
			eventually(t, func() bool { return done(t, cs, 5) }, "all is echoed over "+to)
		}
	}
}

// lateFault fails where it is told to, when the shards have their part already.
type lateFault struct {
	*fakePort
	attach error
}

func (f *lateFault) Attach(q int, pool *pbuf.Pool) error {
	if f.attach != nil && q == 1 {
		return f.attach
	}
	return f.fakePort.Attach(q, pool)
}

func TestAddPortRollsBack(t *testing.T) {
	broken := errors.New("broken")
	for name, p := range map[string]*lateFault{
		"attach": {fakePort: newFakePort(2), attach: broken},
		"start":  {fakePort: newFakePort(2)},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "start" {
				p.start = broken
			}
			bd := newBed(t, bedConfig{wire: wireConfig(2, 2), shardsA: 2, shardsB: 2, threads: true, edit: func(c *Config, _ byte) {
				c.OwnThread = true
			}})
			bd.start(t)
			_, err := bd.a.AddPort(PortConfig{Port: p, Addrs: prefixes("10.1.0.1/24")})
			require.ErrorIs(t, err, broken)
			require.Equal(t, 1, p.closed)
			require.NoError(t, bd.a.Do(func(s *Shard) error {
				require.Len(t, s.Stack().Netifs(), 1)
				require.Len(t, s.ports, 1)
				return nil
			}))
			secondWire(t, bd) // the address is free, and so is the number
		})
	}
}

// A shard that is a goroutine can't sleep on a port that wakes only threads.
func TestAddPortToGoroutines(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(1, 1), threads: true})
	bd.start(t)
	require.False(t, bd.a.Shards()[0].HasThread())
	p := newFakePort(1)
	_, err := bd.a.AddPort(PortConfig{Port: p})
	require.ErrorIs(t, err, ErrConfig)
	require.Equal(t, 1, p.closed)
}

func TestAddPortRefuses(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(1, 1)})
	_, err := bd.a.AddPort(PortConfig{})
	require.ErrorIs(t, err, ErrConfig)
	_, err = bd.a.AddPort(PortConfig{Port: bd.a.port(0).cfg.Port})
	require.ErrorIs(t, err, ErrConfig, "it has it already")
	none := newFakePort(0)
	_, err = bd.a.AddPort(PortConfig{Port: none})
	require.ErrorIs(t, err, ErrConfig, "no queues")
	require.Equal(t, 1, none.closed)
	taken := newFakePort(1)
	_, err = bd.a.AddPort(PortConfig{Port: taken, Addrs: prefixes(addrA + "/24")})
	require.Error(t, err, "the address is in use")
	require.Equal(t, 1, taken.closed)
}

func TestAddPortToStoppedGroup(t *testing.T) {
	bd := newBed(t, bedConfig{wire: wireConfig(1, 1), threads: true})
	bd.start(t)
	require.NoError(t, bd.a.Stop())
	p := newFakePort(1)
	_, err := bd.a.AddPort(PortConfig{Port: p})
	require.ErrorIs(t, err, ErrStopped)
	require.Equal(t, 1, p.closed)
}

var _ port.Port = (*lateFault)(nil)
