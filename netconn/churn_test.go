package netconn_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// churnTime is how long TestChurn runs: SHARDSTACK_CHURN, or a few seconds.
func churnTime(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("SHARDSTACK_CHURN")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "SHARDSTACK_CHURN, as 60s")
	return d
}

// churn is what several goroutines do to a bed at the same time.
type churn struct {
	*bed
	t    *testing.T
	stop atomic.Bool
	wg   sync.WaitGroup
	n    [5]atomic.Int64 // how often each was done
}

// loop runs fn until the time is up, or it fails.
func (c *churn) loop(what int, fn func(i int) error) {
	c.wg.Go(func() {
		for i := 0; !c.stop.Load(); i++ {
			if err := fn(i); err != nil {
				c.t.Errorf("churn %d, number %d: %v", what, i, err)
				return
			}
			c.n[what].Add(1)
		}
	})
}

// echoAll accepts connections and echoes what they bring, until l is closed.
func echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
	}
}

// ask opens a connection, sends data and wants it back.
func ask(n *netconn.Net, to string, size int) error {
	c, err := n.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	out, in := make([]byte, size), make([]byte, size)
	for i := range out {
		out[i] = byte(i * size)
	}
	if _, err := c.Write(out); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, in); err != nil {
		return err
	}
	if string(in) != string(out) {
		return errors.New("the answer is wrong")
	}
	return nil
}

// resteer changes a group's table, or drains a shard and adds it back.
func resteer(g *shard.Group, rng *rand.Rand, i int) error {
	if i%4 == 3 {
		id := rng.IntN(len(g.Shards()))
		return errors.Join(g.DrainShard(id), g.UndrainShard(id))
	}
	table := g.Table(0)
	entries := table.Entries()
	for b := range entries {
		entries[b] = uint16(rng.IntN(len(g.Shards())))
	}
	table, err := rss.FromEntries(entries)
	if err != nil {
		return err
	}
	return g.Resteer(0, table)
}

// TestChurn opens, uses and closes connections, listeners and addresses, and
// changes tables, all at the same time; no connection may fail. In CI it runs for
// some seconds; SHARDSTACK_CHURN=60s makes it longer.
func TestChurn(t *testing.T) {
	s := setup{shards: 3, stack: stack.Config{TCP: stack.TCPConfig{TimeWait: 50 * time.Millisecond}}}
	s.wire.Pause = true
	c := &churn{bed: newBed(t, s), t: t}
	l, err := c.server.Listen("tcp", ":80")
	require.NoError(t, err)
	go echoAll(l)
	const connections, listeners, addresses, tables, statistics = 0, 1, 2, 3, 4
	for w := range 6 {
		c.loop(connections, func(i int) error { return ask(c.client, "10.0.0.2:80", 1+(i*977+w)%20000) })
	}
	for w := range 2 {
		at := fmt.Sprintf("10.0.0.2:%d", 1000+w)
		c.loop(listeners, func(i int) error {
			l, err := c.server.Listen("tcp", at)
			if err != nil {
				return err
			}
			go echoAll(l)
			return errors.Join(ask(c.client, at, 100), l.Close())
		})
	}
	c.loop(addresses, func(i int) error {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i%50)})
		p := netip.PrefixFrom(a, 24)
		if err := c.groups[1].AddAddr(0, p); err != nil {
			return err
		}
		return errors.Join(ask(c.client, a.String()+":80", 500), c.groups[1].DelAddr(0, p))
	})
	for i, g := range c.groups {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		c.loop(tables, func(i int) error {
			time.Sleep(3 * time.Millisecond)
			if err := resteer(g, rng, i); !errors.Is(err, shard.ErrBusy) {
				return err
			}
			return nil
		})
	}
	c.loop(statistics, func(int) error {
		time.Sleep(time.Millisecond)
		for _, g := range c.groups {
			st := g.Stats()
			_ = st.Total.Loop.GapQuantile(0.99)
			_ = g.Handovers()
		}
		return nil
	})
	time.Sleep(churnTime(t))
	c.stop.Store(true)
	c.wg.Wait()
	require.NoError(t, l.Close())
	for what := range c.n {
		require.Positive(t, c.n[what].Load(), "churn %d did nothing", what)
	}
	st := c.groups[1].Stats().Total
	require.Positive(t, st.Loop.HandedFor[shard.CauseResteer])
	t.Logf("%d connections, %d listeners, %d addresses, %d tables; %d packets forwarded",
		c.n[connections].Load(), c.n[listeners].Load(), c.n[addresses].Load(), c.n[tables].Load(), st.Loop.HandedFor[shard.CauseResteer])
}

// TestStalledApplicationsLeaveTheRingToOthers: readers that do not come fill the
// ring of events; those who do come empty it, and get on. Nothing is lost: the
// readers find their data when they come at last.
func TestStalledApplicationsLeaveTheRingToOthers(t *testing.T) {
	const stalled = 200 // three times what the ring holds
	b := newBed(t, setup{net: netconn.Config{Ring: 64, Backlog: stalled + 10}})
	cs, ss := pairs(t, b, stalled)
	for i, c := range cs {
		_, err := c.Write([]byte{byte(i), 1, 2, 3})
		require.NoError(t, err)
	}
	l, err := b.server.Listen("tcp", ":81")
	require.NoError(t, err)
	go echoAll(l)
	for i := range 20 {
		require.NoError(t, ask(b.client, "10.0.0.2:81", 5000+i))
	}
	for i, c := range cs {
		_, err := c.Write([]byte{4})
		require.NoError(t, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(ss[i], got)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i), 1, 2, 3, 4}, got)
	}
	for i := range cs {
		require.NoError(t, cs[i].Close())
		require.NoError(t, ss[i].Close())
	}
	require.NoError(t, l.Close())
}
