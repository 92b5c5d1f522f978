package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// fastEnds are two stacks that give each other's frames back and forth, without a
// wire that costs anything.
type fastEnds struct {
	a, b   *Stack
	now    int64
	flying [2]pbuf.Queue // to a, to b
	ps     [1]*pbuf.Pbuf
}

func newFastEnds(t testing.TB, cfg Config) *fastEnds {
	t.Helper()
	w := &fastEnds{now: hostStart}
	cfg.Pool = pbuftest.NewPool(t, pbuf.Config{Small: 256, Buffers: 256})
	for i, to := range []**Stack{&w.a, &w.b} {
		cfg.Seed[0] = byte(i + 1)
		s, err := New(cfg)
		require.NoError(t, err)
		t.Cleanup(s.Close)
		s.SetNow(w.now)
		other := 1 - i
		mac, ip := scriptMAC, netip.PrefixFrom(userIP, 24)
		if i == 1 {
			mac, ip = scriptPeer, netip.PrefixFrom(peerIP, 24)
		}
		nif, err := s.AddNetif(NetifConfig{MAC: mac, Output: func(ps []*pbuf.Pbuf) int {
			for _, p := range ps {
				q := cfg.Pool.Alloc(pbuf.LayerLink, p.TotLen(), pbuf.KindRAM)
				p.CopyPartial(q.Payload(), 0)
				p.Free()
				w.flying[other].Push(q)
			}
			return len(ps)
		}})
		require.NoError(t, err)
		require.NoError(t, nif.AddAddr(ip))
		*to = s
	}
	t.Cleanup(func() { w.flying[0].FreeAll(); w.flying[1].FreeAll() })
	require.NoError(t, w.a.AddNeighbor(w.a.Netifs()[0], peerIP, scriptPeer))
	require.NoError(t, w.b.AddNeighbor(w.b.Netifs()[0], userIP, scriptMAC))
	w.settle()
	return w
}

// settle lets time pass until nothing flies any more.
func (w *fastEnds) settle() {
	for {
		w.now += 50_000
		w.a.Flush(w.now)
		w.b.Flush(w.now)
		if w.flying[0].Empty() && w.flying[1].Empty() {
			return
		}
		for i, s := range [...]*Stack{w.a, w.b} {
			for p := w.flying[i].Pop(); p != nil; p = w.flying[i].Pop() {
				w.ps[0] = p
				s.Input(s.Netifs()[0], w.now, w.ps[:])
			}
		}
	}
}

// echoFast makes s answer every connection with what it has sent, and then close.
func echoFast(t testing.TB, s *Stack, port uint16) *TCP {
	l := s.NewTCP()
	require.NoError(t, l.Bind(netip.AddrPortFrom(netip.Addr{}, port)))
	recv := func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			return pcb.Close()
		}
		n := p.TotLen()
		if err := pcb.WritePbuf(p, 0); err != nil {
			return err
		}
		pcb.Recved(n)
		return nil
	}
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(recv)
		return nil
	})
	require.NoError(t, l.Listen(0))
	return l
}

// exchange is a client that sends some bytes with its SYN, and closes when it has
// them back.
type exchange struct {
	got  int
	recv RecvFunc
	to   netip.AddrPort
	b    []byte
}

func newExchange(to netip.AddrPort, n int) *exchange {
	x := &exchange{to: to, b: pattern(n)}
	x.recv = func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			return nil
		}
		n := p.TotLen()
		p.Free()
		pcb.Recved(n)
		if x.got += n; x.got == len(x.b) {
			return pcb.Close()
		}
		return nil
	}
	return x
}

func (x *exchange) start(s *Stack) error {
	pcb := s.NewTCP()
	pcb.SetRecv(x.recv)
	x.got = 0
	_, err := pcb.ConnectWrite(x.to, x.b, nil)
	return err
}

// fastConfig is Fast Open at both ends, and no TIME-WAIT.
func fastConfig() (c Config) {
	c.TCP.FastOpen.Pending, c.TCP.FastOpen.Connect = 8, true
	c.TCP.TimeWait, c.TCP.NoDelay = -1, true
	return c
}

// TestFastOpen_NoAllocations: once warm a connection with data in its SYN allocates
// nothing at either end, nor does one that is reset, or asks for a cookie.
func TestFastOpen_NoAllocations(t *testing.T) {
	cfg := fastConfig()
	cfg.TCP.FastOpen.Keys = []FastOpenKey{{1}} // hours go by
	w := newFastEnds(t, cfg)
	l := echoFast(t, w.b, 80)
	x := newExchange(netip.AddrPortFrom(peerIP, 80), 100)
	once := func() {
		if err := x.start(w.a); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if x.got != len(x.b) {
			t.Fatal("no answer")
		}
	}
	asks := func() {
		w.a.FlushFastOpen()
		once()
	}
	aborts := func() {
		pcb := w.a.NewTCP()
		if _, err := pcb.ConnectWrite(x.to, x.b, nil); err != nil {
			t.Fatal(err)
		}
		w.a.Flush(w.now)
		w.now += fastResetLife
		for p := w.flying[1].Pop(); p != nil; p = w.flying[1].Pop() {
			w.ps[0] = p
			w.b.Input(w.b.Netifs()[0], w.now, w.ps[:])
		}
		_ = pcb.Close() // in SYN-SENT: what comes is answered with a reset
		w.settle()
	}
	once()
	for name, fn := range map[string]func(){"data in the SYN": once, "asking": asks, "reset": aborts} {
		allocs := testing.AllocsPerRun(200, fn)
		if !bufferChecks {
			require.Zero(t, allocs, name)
		}
	}
	client, server := &w.a.stats.TCP, &w.b.stats.TCP
	require.Greater(t, client.FastOpenActive, uint64(200))
	require.Greater(t, server.FastOpenCookieReqs, uint64(200))
	require.Greater(t, server.FastOpenResets, uint64(200))
	require.Zero(t, client.FastOpenActiveFail+server.FastOpenPassiveFail+server.FastOpenOverflows)
	require.Zero(t, l.cold.pending+l.cold.halfOpen+w.b.tcp.halfOpen)
	require.Len(t, l.cold.fast.resets, l.cold.fast.pending)
	require.EqualValues(t, 1, server.CurrPCBs)
	require.Zero(t, client.CurrPCBs)
}

// TestFastOpen_SavesARoundTrip: the answer is there after one round trip, and after
// two without Fast Open.
func TestFastOpen_SavesARoundTrip(t *testing.T) {
	link := linkConfig{Delay: 10 * time.Millisecond}
	cfg := hostConfig{Config: fastConfig()}
	w := newPair(t, pairConfig{A: cfg, B: cfg, AB: link, BA: link})
	echoFast(t, w.b.Stack, 80)
	x := newExchange(netip.AddrPortFrom(peerIP, 80), 1400)
	w.ping(1, 0)
	for i, want := range []time.Duration{40, 20, 20} {
		start := w.now
		require.NoError(t, x.start(w.a.Stack))
		w.until(time.Second, func() bool { return x.got == len(x.b) })
		require.Equal(t, want*time.Millisecond, time.Duration(w.now-start), "connection %d", i)
		w.run(time.Second)
	}
}

// TestFastOpen_OverABadLink: whatever gets lost, doubled or overtaken, all that was
// sent comes back once, and nothing stays.
func TestFastOpen_OverABadLink(t *testing.T) {
	bad := linkConfig{Loss: 0.08, Dup: 0.05, Reorder: 0.1, Delay: 2 * time.Millisecond, Seed: 5}
	cfg := hostConfig{Config: fastConfig()}
	cfg.TCP.FastOpen.Pause = -1
	cfg.TCP.FastOpen.Pending = 64 // those whose handshake hangs leave room for others
	cfg.TCP.TimeWait = time.Second
	w := newPair(t, pairConfig{A: cfg, B: cfg, AB: bad, BA: bad})
	w.a.mayDrop()
	w.b.mayDrop()
	l := echoFast(t, w.b.Stack, 80)
	const n = 400
	var done int
	for i := range n {
		x := newExchange(netip.AddrPortFrom(peerIP, 80), 1+i*37%3500)
		pcb := w.a.NewTCP()
		var got []byte
		pcb.SetRecv(func(arg any, pcb *TCP, p *pbuf.Pbuf, err error) error {
			if p != nil {
				b := make([]byte, p.TotLen())
				p.CopyPartial(b, 0)
				if got = append(got, b...); len(got) == len(x.b) {
					require.Equal(t, x.b, got)
					done++
				}
			}
			return x.recv(arg, pcb, p, err)
		})
		k, err := pcb.ConnectWrite(x.to, x.b, nil)
		require.NoError(t, err)
		require.Equal(t, len(x.b), k)
		w.run(5 * time.Millisecond)
		checkInvariants(t, w.a.Stack)
		checkInvariants(t, w.b.Stack)
	}
	w.until(5*time.Minute, func() bool { return done == n })
	w.run(5 * time.Minute)
	client, server := &w.a.stats.TCP, &w.b.stats.TCP
	require.Greater(t, client.FastOpenActive, uint64(n*3/4))
	require.Positive(t, client.FastOpenActiveFail)
	require.GreaterOrEqual(t, server.FastOpenPassive, client.FastOpenActive)
	require.Zero(t, client.CurrPCBs)
	require.EqualValues(t, 1, server.CurrPCBs)
	require.Zero(t, l.cold.pending+l.cold.halfOpen+l.cold.fast.pending+w.b.tcp.halfOpen)
}
