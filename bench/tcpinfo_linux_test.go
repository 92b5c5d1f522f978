package bench

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port/tap"
	"github.com/shardstack/shardstack/stack"
)

// tapLab is a stack on the test's own thread, at a TAP device in a namespace, that
// loses every lose-th frame with data, 0 for none.
type tapLab struct {
	t         *testing.T
	ns        string
	p         *tap.Port
	s         *stack.Stack
	nif       *stack.Netif
	lose      int
	sent      int
	lost      int
	lostBytes int
}

func newTapLab(t *testing.T, lose int) *tapLab {
	t.Helper()
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	l := &tapLab{t: t, ns: testenv.Netns(t), lose: lose}
	var err error
	l.p, err = tap.New(tap.Config{Netns: l.ns, Up: true, NoVnetHdr: true, QueueLen: 4096, Addrs: []netip.Prefix{labKernel}})
	require.NoError(t, err)
	pool := pbuftest.NewPool(t, pbuf.Config{Small: 1024, Buffers: 4096})
	t.Cleanup(func() { require.NoError(t, l.p.Close()) })
	require.NoError(t, l.p.Attach(0, pool))
	require.NoError(t, l.p.Start())
	info := l.p.Info()
	l.s, err = stack.New(stack.Config{Pool: pool, Seed: [32]byte{1}, TCP: stack.TCPConfig{Meter: true, NoDelay: true}})
	require.NoError(t, err)
	t.Cleanup(l.s.Close)
	l.nif, err = l.s.AddNetif(stack.NetifConfig{MAC: info.MAC, MTU: info.MTU, Caps: info.Caps, Output: l.output})
	require.NoError(t, err)
	require.NoError(t, l.nif.AddAddr(labStack))
	return l
}

// output is the port, less the frames that are to be lost.
func (l *tapLab) output(ps []*pbuf.Pbuf) int {
	for i, p := range ps {
		if n := p.TotLen() - 14 - 20 - 32; n > 1 && l.lose != 0 {
			if l.sent++; l.sent%l.lose == 0 {
				l.lost++
				l.lostBytes += n
				p.Free()
				continue
			}
		}
		if l.p.TxBurst(0, time.Now().UnixNano(), []*pbuf.Pbuf{p}) == 0 {
			return i
		}
	}
	return len(ps)
}

// until runs the stack until a condition holds.
func (l *tapLab) until(what string, done func() bool) {
	l.t.Helper()
	ps := make([]*pbuf.Pbuf, 64)
	for end := time.Now().Add(30 * time.Second); !done(); {
		now := time.Now()
		if now.After(end) {
			l.t.Fatalf("%s: not within 30 s", what)
		}
		l.s.Input(l.nif, now.UnixNano(), ps[:l.p.RxBurst(0, now.UnixNano(), ps)])
		l.s.Poll(now.UnixNano())
		l.s.Flush(now.UnixNano())
	}
}

// TestTCPInfoAgreesWithTheKernel: the kernel connects to the stack, each sends the
// other some data, and what TCP_INFO says at one end fits what it says at the other,
// on a clean wire and on one that loses what the stack sends.
func TestTCPInfoAgreesWithTheKernel(t *testing.T) {
	for name, lose := range map[string]int{"clean": 0, "lossy": 29} {
		t.Run(name, func(t *testing.T) { tcpInfoAgrees(t, lose) })
	}
}

func tcpInfoAgrees(t *testing.T, lose int) {
	const ours, theirs = 300_000, 100_000
	l := newTapLab(t, lose)
	var pcb *stack.TCP
	var got, left int
	fill := func() {
		for left > 0 && pcb.SndBuf() >= 1000 && pcb.Write(make([]byte, min(1000, left)), 0) == nil {
			left -= min(1000, left)
		}
	}
	ln := l.s.NewTCP()
	ln.SetAccept(func(_ any, c *stack.TCP, _ error) error {
		pcb, left = c, ours
		c.SetRecv(func(_ any, c *stack.TCP, p *pbuf.Pbuf, _ error) error {
			if p != nil {
				got += p.TotLen()
				c.Recved(p.TotLen())
				p.Free()
			}
			return nil
		})
		c.SetSent(func(any, *stack.TCP, int) error { fill(); return nil })
		fill()
		return nil
	})
	require.NoError(t, ln.Bind(netip.AddrPortFrom(netip.Addr{}, labPort)))
	require.NoError(t, ln.Listen(0))

	type result struct {
		c   *net.TCPConn
		err error
	}
	done := make(chan result, 1)
	go func() { done <- kernelExchange(l.ns, ours, theirs) }()
	var r result
	l.until("the exchange", func() bool {
		select {
		case r = <-done:
			return true
		default:
			return false
		}
	})
	require.NoError(t, r.err)
	defer r.c.Close()
	settled := time.Now().Add(200 * time.Millisecond) // delayed ACKs
	l.until("the last ACKs", func() bool { return time.Now().After(settled) && pcb.Info().Unacked == 0 && got == theirs })

	i, k := pcb.Info(), kernelInfo(t, r.c)
	require.Equal(t, uint64(ours), i.BytesAcked)
	require.Equal(t, uint64(ours), k.Bytes_received)
	require.Equal(t, uint64(theirs), i.BytesReceived)
	require.Equal(t, uint64(theirs), k.Bytes_acked-1, "it counts its SYN")
	require.Equal(t, k.Bytes_sent-k.Bytes_retrans, i.BytesReceived)
	require.Equal(t, k.Segs_out, i.SegsIn)
	require.Equal(t, k.Data_segs_out, i.DataSegsIn)
	require.Equal(t, k.Segs_in, i.SegsOut-uint32(l.lost))
	require.Equal(t, k.Data_segs_in, i.DataSegsOut-uint32(l.lost))
	require.Equal(t, int(k.Snd_mss), i.MSS)
	require.Equal(t, int(k.Rcv_mss), i.MSS)
	require.Equal(t, int(k.Snd_mss), i.RcvMSS)
	require.Equal(t, uint64(ours), i.BytesSent-i.BytesRetrans)
	require.Equal(t, uint32(l.lost)+i.DSACKDups, i.TotalRetrans)
	if i.DSACKDups == 0 {
		require.Equal(t, uint64(l.lostBytes), i.BytesRetrans)
	}
	require.Equal(t, lose != 0, k.Rcv_ooopack != 0)
	require.Equal(t, i.DataSegsOut-i.TotalRetrans+1, i.Delivered, "and the SYN-ACK")
	require.LessOrEqual(t, k.Snd_wnd, i.RcvWnd)
	require.GreaterOrEqual(t, k.Snd_wnd, i.RcvWnd/4*3, "less than a quarter more is not worth an update")
	require.Zero(t, k.Notsent_bytes+i.Unsent)
	require.Positive(t, i.DeliveryRate)
	require.Positive(t, i.BusyTime)
	pcb.Abort()
	l.s.Flush(time.Now().UnixNano())
}

// kernelExchange connects to the stack, reads and writes so many bytes, and leaves
// the connection open.
func kernelExchange(ns string, read, write int) (r struct {
	c   *net.TCPConn
	err error
}) {
	r.err = netspace.Do(ns, func() error {
		c, err := net.DialTimeout("tcp4", netip.AddrPortFrom(labStack.Addr(), labPort).String(), 20*time.Second)
		if err == nil {
			r.c = c.(*net.TCPConn)
		}
		return err
	})
	if r.err == nil {
		_ = r.c.SetDeadline(time.Now().Add(25 * time.Second))
		if _, r.err = r.c.Write(make([]byte, write)); r.err == nil {
			_, r.err = io.CopyN(io.Discard, r.c, int64(read))
		}
	}
	return r
}

func kernelInfo(t *testing.T, c *net.TCPConn) (i *unix.TCPInfo) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		i, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}))
	require.NoError(t, err)
	return i
}
