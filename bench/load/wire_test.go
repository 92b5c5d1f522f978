package load

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/stack"
)

var (
	clientAddr = netip.MustParsePrefix("198.18.0.1/24")
	serverAddr = netip.MustParsePrefix("198.18.0.2/24")
)

// to is the server's address with a port.
func to(port uint16) netip.AddrPort { return netip.AddrPortFrom(serverAddr.Addr(), port) }

// end is a stack at one end of a wire that takes wireDelay.
type end struct {
	pool *pbuf.Pool
	s    *stack.Stack
	nif  *stack.Netif
	in   []*pbuf.Pbuf // on their way here, to arrive at inAt
	inAt []int64
}

const wireDelay = 50_000 // ns

// wire is a client and a server, in simulated time.
type wire struct {
	t              testing.TB
	now            int64
	client, server *end
	polls          []Client
}

// newWire makes both ends; fill changes the configuration of their stacks.
func newWire(t testing.TB, pool pbuf.Config, fill func(c *stack.Config)) *wire {
	t.Helper()
	w := &wire{t: t, now: 1_000_000_000}
	w.client, w.server = w.end(1, clientAddr, pool, fill), w.end(2, serverAddr, pool, fill)
	w.connect(w.client, w.server)
	w.connect(w.server, w.client)
	return w
}

func (w *wire) end(id byte, addr netip.Prefix, pool pbuf.Config, fill func(c *stack.Config)) *end {
	w.t.Helper()
	e := &end{pool: pbuftest.NewPool(w.t, pool)}
	cfg := stack.Config{Pool: e.pool, Seed: [32]byte{id}}
	if fill != nil {
		fill(&cfg)
	}
	s, err := stack.New(cfg)
	require.NoError(w.t, err)
	e.s = s
	w.t.Cleanup(func() {
		s.Close()
		for _, p := range e.in {
			p.Free()
		}
	})
	s.SetNow(w.now)
	return e
}

// connect lets from send to to.
func (w *wire) connect(from, to *end) {
	w.t.Helper()
	addr, id := clientAddr, byte(1)
	if from == w.server {
		addr, id = serverAddr, 2
	}
	nif, err := from.s.AddNetif(stack.NetifConfig{MAC: header.MAC{2, 0, 0, 0, 0, id}, Output: func(ps []*pbuf.Pbuf) int {
		for _, p := range ps {
			n := p.TotLen()
			q := to.pool.Alloc(pbuf.LayerRaw, n, pbuf.KindRAM)
			if q != nil { // else lost
				p.CopyPartial(q.Payload(), 0)
				to.in = append(to.in, q)
				to.inAt = append(to.inAt, w.now+wireDelay)
			}
			p.Free()
		}
		return len(ps)
	}})
	require.NoError(w.t, err)
	from.nif = nif
	require.NoError(w.t, nif.AddAddr(addr))
}

// start begins a client, which is polled from then on.
func (w *wire) start(c Client) {
	w.t.Helper()
	require.NoError(w.t, c.Start())
	w.polls = append(w.polls, c)
}

// step does what there is to do now, and then moves the clock to when there is
// something again.
func (w *wire) step() {
	next := int64(stack.Forever)
	for _, e := range []*end{w.client, w.server} {
		n := 0
		for n < len(e.in) && e.inAt[n] <= w.now {
			n++
		}
		e.s.Input(e.nif, w.now, e.in[:n])
		e.in = e.in[:copy(e.in, e.in[n:])]
		e.inAt = e.inAt[:copy(e.inAt, e.inAt[n:])]
		if e == w.client {
			for _, c := range w.polls {
				c.Poll(w.now)
				next = min(next, c.Next())
			}
		}
		e.s.Poll(w.now)
		e.s.Flush(w.now)
		next = min(next, e.s.NextTimeout())
	}
	for _, e := range []*end{w.client, w.server} {
		if len(e.in) > 0 {
			next = min(next, e.inAt[0])
		}
	}
	w.now = min(max(next, w.now+1_000), w.now+wireDelay)
}

// until steps until done, or fails after limit ns.
func (w *wire) until(limit int64, done func() bool) {
	w.t.Helper()
	for end := w.now + limit; !done(); w.step() {
		require.Less(w.t, w.now, end, "not done in time")
	}
}

// run steps for so long, in ns.
func (w *wire) run(ns int64) {
	for end := w.now + ns; w.now < end; {
		w.step()
	}
}

// serve starts the services.
func (w *wire) serve(cfg ServerConfig) *Server {
	w.t.Helper()
	sv, err := NewServer(w.server.s, cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		w.server.s.Close()
		require.NoError(w.t, sv.Release())
	})
	return sv
}

// clean asserts that neither end lost, refused or repeated anything.
func (w *wire) clean() {
	w.t.Helper()
	for _, e := range []*end{w.client, w.server} {
		st := e.s.Stats()
		require.Zero(w.t, st.Dropped(), "%v", st.Drops)
		require.Zero(w.t, st.TCP.RetransSegs)
		require.Zero(w.t, st.TCP.OutRsts)
	}
}
