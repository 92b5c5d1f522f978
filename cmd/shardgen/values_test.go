package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

func TestBytesAreScaledBy1024(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "64": 64, "16K": 16384, "16k": 16384, "1M": 1 << 20, "1.5M": 3 << 19, "2G": 2 << 30} {
		var v bytesValue
		require.NoError(t, v.Set(text), text)
		require.EqualValues(t, want, v, text)
	}
	v := bytesValue(3 << 20)
	require.Equal(t, "3M", v.String())
	v++
	require.Equal(t, "3145729", v.String())
}

func TestCountsAreScaledBy1000(t *testing.T) {
	var c countValue
	require.NoError(t, c.Set("100k"))
	require.EqualValues(t, 100_000, c)
	var r rateValue
	require.NoError(t, r.Set("2.5M"))
	require.EqualValues(t, 2_500_000, r)
}

func TestNumbersCanBeRead(t *testing.T) {
	require.Equal(t, "1,234,567", number(uint64(1234567)))
	require.Equal(t, "999", number(int64(999)))
	require.Equal(t, "0.5", number(0.5))
	require.Equal(t, "1,000", number(999.9))
	require.Equal(t, "9.42 Gbit/s", bitRate(9.42e9))
	require.Equal(t, "1.50 kbit/s", bitRate(1500))
	require.Equal(t, "1.00 GiB", octets(1<<30))
	require.Equal(t, "12.5 µs", nanos(int64(12_500)))
	require.Equal(t, "1.25 ms", nanos(int64(1_250_000)))
	require.Equal(t, "2.00 s", nanos(int64(2_000_000_000)))
}

// FuzzScaled: no text makes a number out of range.
func FuzzScaled(f *testing.F) {
	for _, s := range []string{"64", "16K", "1.5G", "-1", "1e30", "NaN", "Inf", "0x1p-2", "K", "KK", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseScaled(text, 1024)
		if err == nil && (n < 0 || n >= 1<<62 || n != n) {
			t.Fatalf("%q gives %v", text, n)
		}
	})
}

func TestSizesFitEachOther(t *testing.T) {
	for _, c := range commands() {
		for _, conns := range []int{1, 10, 100, 1000, 10_000, 1_000_000} {
			o := options{conns: conns, size: bytesValue(max(c.defaults.size, 1))}
			s := sizing(c, &o, 2)
			require.GreaterOrEqual(t, s.pool.Buffers, 2*s.queue, "%s with %d", c.name, conns)
			require.LessOrEqual(t, s.pool.Buffers, maxBuffers)
			require.GreaterOrEqual(t, s.tcp.MaxConns, conns)
			if conns <= 10_000 {
				require.GreaterOrEqual(t, s.queue, (conns+1)/2)
			}
			if c.windows && s.tcp.SendBuf > minWindow {
				require.LessOrEqual(t, (conns+1)/2*s.tcp.SendBuf/segment, s.queue, "%s with %d", c.name, conns)
			}
			require.NoError(t, s.pool.Validate())
		}
	}
}

func TestCoresAreHalved(t *testing.T) {
	for list, want := range map[string][2]string{"0": {"0", "0"}, "0-1": {"0", "1"}, "0-2": {"0", "1-2"}, "0-3,8": {"0-1", "2-3,8"}} {
		set, err := affinity.ParseList(list)
		require.NoError(t, err)
		client, server := halves(set)
		require.Equal(t, want, [2]string{client.String(), server.String()})
	}
}

func TestSeedDecidesBothEnds(t *testing.T) {
	c := findCommand("rr")
	o := options{conns: 1, size: 1, seed: seedValue{n: 9, set: true}}
	set, err := affinity.Of(0)
	require.NoError(t, err)
	a, b := groupConfig(c, &o, set, false), groupConfig(c, &o, set, true)
	require.NotEqual(t, a.Stack.Seed, b.Stack.Seed)
	require.Equal(t, a.Stack.Seed, groupConfig(c, &o, set, false).Stack.Seed)
	o.seed.n++
	require.NotEqual(t, a.Stack.Seed, groupConfig(c, &o, set, false).Stack.Seed)
}

func TestOffloadModes(t *testing.T) {
	var gso gsoValue
	var gro groValue
	for _, mode := range []string{"auto", "always", "never"} {
		require.NoError(t, gso.Set(mode))
		require.NoError(t, gro.Set(mode))
		require.Equal(t, mode, gso.String())
		require.Equal(t, mode, gro.String())
	}
	require.Error(t, gso.Set("sometimes"))
	require.Error(t, gro.Set("sometimes"))
	c := findCommand("rr")
	o := options{conns: 1, size: 1, gso: gsoValue(stack.GSOAlways), gro: groValue(shard.GRONever)}
	set, err := affinity.Of(0)
	require.NoError(t, err)
	cfg := groupConfig(c, &o, set, false)
	require.Equal(t, stack.GSOAlways, cfg.Stack.TCP.GSO)
	require.Equal(t, shard.GRONever, cfg.GRO)
	require.Zero(t, cfg.GROMax)
	o.gsoMax, o.groMax = 256<<10, 128<<10
	cfg = groupConfig(c, &o, set, false)
	require.Equal(t, 256<<10, cfg.Stack.TCP.GSOMax)
	require.Equal(t, 128<<10, cfg.GROMax)
	require.Greater(t, cfg.Pool.Jumbo*pbuf.DefaultJumboRoom, 4*256<<10, "or TCP makes no such segments")
}
