package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// ping pings from a to b, n times, the next when the last is answered or a
// second has gone by.
func (w *pair) ping(n, size int) (rtts []time.Duration) {
	w.t.Helper()
	g, err := w.a.NewPing(w.b.addr(), nil, func(_ any, _ *Ping, r PingReply) {
		if !r.Duplicate {
			rtts = append(rtts, r.RTT)
		}
	})
	require.NoError(w.t, err)
	defer g.Close()
	for range n {
		have := len(rtts)
		_, err := g.Send(size)
		require.NoError(w.t, err)
		end := w.now + int64(time.Second)
		for len(rtts) == have && w.step(end) {
		}
		if len(rtts) == have {
			w.run(time.Duration(end - w.now))
		}
	}
	return rtts
}

func TestPair_PingTakesTheLinksTime(t *testing.T) {
	w := newPair(t, pairConfig{AB: linkConfig{Delay: 3 * time.Millisecond}, BA: linkConfig{Delay: 4 * time.Millisecond}})
	rtts := w.ping(10, 56)
	require.Len(t, rtts, 10)
	require.Equal(t, 14*time.Millisecond, rtts[0], "ARP goes first; its answer carries the news both ways")
	for _, rtt := range rtts[1:] {
		require.Equal(t, 7*time.Millisecond, rtt)
	}
	require.Equal(t, uint64(1), w.a.stats.ARP.OutRequests)
	require.Zero(t, w.b.stats.ARP.OutRequests)
}

func TestPair_FragmentsOverABadLink(t *testing.T) {
	bad := linkConfig{Reorder: 0.3, Dup: 0.1, Loss: 0.01, Delay: time.Millisecond, Seed: 4}
	w := newPair(t, pairConfig{AB: bad, BA: bad})
	w.a.mayDrop(DropIPFragDuplicate, DropIPFragTimeout, DropICMPIgnored, DropARPQueueFull)
	w.b.mayDrop(DropIPFragDuplicate, DropIPFragTimeout, DropICMPIgnored)
	rtts := w.ping(50, 20000)
	require.Greater(t, len(rtts), 25)
	require.Less(t, len(rtts), 50, "14 fragments each way, one in 100 lost")
	w.run(2 * time.Minute)
	require.Zero(t, w.a.reass.held+w.b.reass.held)
}

func TestPair_CorruptFramesAreDropped(t *testing.T) {
	bad := linkConfig{Corrupt: 0.3, Seed: 9}
	w := newPair(t, pairConfig{AB: bad, BA: bad})
	w.a.mayDrop()
	w.b.mayDrop()
	var wrong int
	u := w.b.NewUDP()
	require.NoError(t, u.Bind(ap(netip.Addr{}, 7)))
	n := 0
	u.SetRecv(func(_ any, u *UDP, p *pbuf.Pbuf, from netip.AddrPort) {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		if n++; string(b) != string(pattern(200)) {
			wrong++
		}
	})
	v := w.a.NewUDP()
	for range 1000 {
		require.NoError(t, v.SendTo(w.a.data(200), ap(w.b.addr(), 7)))
		w.run(time.Millisecond)
	}
	require.Zero(t, wrong)
	require.Greater(t, n, 500)
	require.Greater(t, w.b.stats.Dropped(), uint64(100))
}

func TestPair_RateAndQueue(t *testing.T) {
	w := newPair(t, pairConfig{AB: linkConfig{Rate: 8e6, Queue: 10}})
	u, box := w.b.bound(9)
	_ = u
	v := w.a.NewUDP()
	w.ping(1, 0)
	start := w.now
	for range 20 {
		require.NoError(t, v.SendTo(w.a.data(972), ap(w.b.addr(), 9))) // 1014 bytes: 1.014 ms
	}
	w.flush()
	w.until(time.Second, func() bool { return len(box.got) == 10 })
	require.InDelta(t, 10.14e6+50e3, float64(w.now-start), 1e5)
	w.run(time.Second)
	require.Len(t, box.got, 10)
	require.Equal(t, 10, w.ab.lost)
}

// TestPair_SameSeedSameFrames: a simulation repeats itself.
func TestPair_SameSeedSameFrames(t *testing.T) {
	run := func() (frames []string) {
		bad := linkConfig{Loss: 0.05, Dup: 0.05, Reorder: 0.2, Jitter: time.Millisecond, Seed: 1}
		log := bad
		log.Filter = func(b []byte) bool { frames = append(frames, string(b)); return true }
		w := newPair(t, pairConfig{AB: log, BA: bad})
		w.a.mayDrop()
		w.b.mayDrop()
		w.ping(20, 3000)
		return frames
	}
	require.Equal(t, run(), run())
}

func TestPair_TCP(t *testing.T) {
	bad := linkConfig{Loss: 0.02, Dup: 0.01, Reorder: 0.1, Delay: 5 * time.Millisecond, Seed: 2}
	w := newPair(t, pairConfig{AB: bad, BA: bad})
	w.a.mayDrop()
	w.b.mayDrop()
	l := w.b.NewTCP()
	require.NoError(t, l.Bind(ap(netip.Addr{}, 80)))
	require.NoError(t, l.Listen(0))
	got, eof := 0, false
	l.SetAccept(func(_ any, pcb *TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				eof = true
				return pcb.Close()
			}
			n := p.TotLen()
			for i := range n {
				if p.GetAt(i) != byte((got+i)*7) {
					t.Fatal("wrong byte")
				}
			}
			p.Free()
			got += n
			pcb.Recved(n)
			return nil
		})
		return nil
	})
	const total = 300_000
	pcb, sent := w.a.NewTCP(), 0
	feed := func(pcb *TCP) {
		for sent < total {
			n := min(total-sent, pcb.SndBuf(), 5000)
			if n == 0 {
				return
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = byte((sent + i) * 7)
			}
			if pcb.Write(b, 0) != nil {
				return
			}
			sent += n
		}
		require.NoError(t, pcb.Shutdown(false, true))
	}
	pcb.SetSent(func(_ any, pcb *TCP, _ int) error {
		if sent < total {
			feed(pcb)
		}
		return nil
	})
	require.NoError(t, pcb.Connect(ap(w.b.addr(), 80), func(_ any, pcb *TCP, err error) error {
		feed(pcb)
		return err
	}))
	w.until(2*time.Minute, func() bool { return eof })
	require.Equal(t, total, got)
	require.Positive(t, w.a.stats.TCP.RetransSegs)
}

// TestPair_ARPBothWays: two hosts that speak at once find each other.
func TestPair_ARPBothWays(t *testing.T) {
	w := newPair(t, pairConfig{})
	_, boxA := w.a.bound(1)
	_, boxB := w.b.bound(1)
	ua, ub := w.a.NewUDP(), w.b.NewUDP()
	require.NoError(t, ua.SendTo(w.a.data(1), ap(w.b.addr(), 1)))
	require.NoError(t, ub.SendTo(w.b.data(1), ap(w.a.addr(), 1)))
	w.run(time.Millisecond)
	require.Len(t, boxA.got, 1)
	require.Len(t, boxB.got, 1)
}

// TestPair_UnplugAndReplug: the entry ages, is asked for in vain, and comes back.
func TestPair_UnplugAndReplug(t *testing.T) {
	plugged := true
	cfg := linkConfig{Filter: func([]byte) bool { return plugged }}
	w := newPair(t, pairConfig{AB: cfg, BA: cfg, A: hostConfig{Config: Config{ARP: ARPConfig{MaxAge: 20 * time.Second}}}})
	require.Len(t, w.ping(3, 0), 3)
	plugged = false
	require.Empty(t, w.ping(40, 0))
	w.run(10 * time.Second)
	w.a.dropped(DropARPUnresolved, int(w.a.stats.Drops[DropARPUnresolved]))
	require.Positive(t, w.a.stats.Drops[DropARPUnresolved])
	w.a.mayDrop(DropARPQueueFull)
	plugged = true
	require.Len(t, w.ping(3, 0), 3)
}
