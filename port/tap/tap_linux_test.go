package tap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
)

// run runs a program in the namespace.
func run(t testing.TB, ns string, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// The kernel's ping gets all its answers, whatever buffers they are made of.
func TestKernelPings(t *testing.T) {
	testenv.Tool(t, "ping")
	for _, c := range []struct {
		mtu, room, chop, size int
		chains                bool
	}{
		{1500, 2048, 0, 56, false},
		{1500, 2048, 0, 1472, false},
		{1500, 256, 100, 1472, true},
		{9000, 2048, 0, 8972, true},
		{9000, 2048, 0, 100, false},
		{tap.MaxMTU, 2048, 1000, 65493, true},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("mtu%d/room%d/chop%d/%d/plain=%v", c.mtu, c.room, c.chop, c.size, plain), func(t *testing.T) {
				ns := testenv.Netns(t)
				p, pools := newTap(t, tap.Config{Netns: ns, MTU: c.mtu, NoVnetHdr: plain}, pbuf.Config{DataRoom: c.room})
				h := serve(t, p, pools, c.chop)
				out := run(t, ns, "ping", "-c", "20", "-i", "0.002", "-W", "5", "-M", "do", "-s", fmt.Sprint(c.size), "198.18.7.2")
				require.Contains(t, out, "20 received")
				_, chains := h.counts()
				require.Equal(t, c.chains, chains >= 20, "%d frames in chains", chains)
			})
		}
	}
}

// dial opens n sockets in the namespace, towards our address.
func dial(t testing.TB, ns string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	within(t, ns, func() (err error) {
		for i := range conns {
			if conns[i], err = net.Dial("udp4", "198.18.7.2:9"); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	return conns
}

// echo sends b and waits for it to come back. Datagrams may be dropped while a
// queue is full, so it tries again.
func echo(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	got := make([]byte, len(b)+1)
	for range 50 {
		_, err := c.Write(b)
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		n, err := c.Read(got)
		if err == nil {
			require.True(t, bytes.Equal(b, got[:n]))
			return
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	t.Fatal("no answer")
}

// Sockets of the kernel talk to us: it verifies the checksums that we make, and
// we verified its own.
func TestKernelSocketsOverAllQueues(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) { testKernelSockets(t, plain) })
	}
}

func testKernelSockets(t *testing.T, plain bool) {
	const queues = 3
	ns := testenv.Netns(t)
	p, pools := newTap(t, tap.Config{Netns: ns, Queues: queues, NoVnetHdr: plain}, pbuf.Config{})
	h := serve(t, p, pools, 0)
	for i, c := range dial(t, ns, 60) {
		for j := range 5 {
			echo(t, c, binary.BigEndian.AppendUint32(make([]byte, 20*j), uint32(i)))
		}
	}
	udp, _ := h.counts()
	require.GreaterOrEqual(t, len(udp), 2, "flows come by different queues")
	h.halt(t)
	require.Equal(t, !plain, h.partial >= 300, "%d checksums were left to us", h.partial)
	total := port.Total(p)
	require.GreaterOrEqual(t, total.RxPackets, uint64(300))
	require.GreaterOrEqual(t, total.TxPackets, uint64(300))
	require.Zero(t, total.TxErrors+total.TxDropped+total.RxErrors)
}

func TestInfoAndKernelsEnd(t *testing.T) {
	mac, kernel := header.MAC{2, 1, 1, 1, 1, 1}, header.MAC{2, 2, 2, 2, 2, 2}
	ns := testenv.Netns(t)
	p, _ := newTap(t, tap.Config{
		Name: "lab%d", Netns: ns, Queues: 2, MTU: 1400, NoVnetHdr: true, Steering: tap.SteerKernel, MAC: mac, KernelMAC: kernel, QueueLen: 77,
		Addrs: []netip.Prefix{kernelNet, netip.MustParsePrefix("2001:db8::1/64")},
	}, pbuf.Config{})
	require.Equal(t, port.Info{Name: "lab0", Queues: 2, MTU: 1400, MAC: mac, Caps: offload.MultiSeg}, p.Info())
	require.Equal(t, kernel, p.KernelMAC())
	require.True(t, p.Link().Up)
	out := run(t, ns, "ip", "addr", "show", "lab0")
	for _, want := range []string{"mtu 1400", "02:02:02:02:02:02", "qlen 77", "198.18.7.1/24", "2001:db8::1/64", "UP"} {
		require.Contains(t, out, want)
	}
	require.Contains(t, out, "2001:db8::1/64 scope global nodad", "the IPv6 address is good at once")
	run(t, ns, "ip", "link", "set", "lab0", "down")
	require.False(t, p.Link().Up)
}

func TestDefaultMACsDiffer(t *testing.T) {
	p, _ := newTap(t, tap.Config{}, pbuf.Config{})
	o, _ := newTap(t, tap.Config{}, pbuf.Config{})
	require.NotEqual(t, p.Info().MAC, o.Info().MAC)
	require.NotEqual(t, p.Info().MAC, p.KernelMAC())
	require.EqualValues(t, 2, p.Info().MAC[0])
	require.Equal(t, 1500, p.Info().MTU)
	require.Equal(t, "tap0", p.Info().Name)
}

// The caller's thread stays in its namespace, and the device is not there.
func TestNamespaceOfTheCallerIsUntouched(t *testing.T) {
	before, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	p, _ := newTap(t, tap.Config{Name: "tapmarker"}, pbuf.Config{})
	after, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, err = net.InterfaceByName(p.Info().Name)
	require.Error(t, err)
}

func TestNetnsByPath(t *testing.T) {
	ns := testenv.Netns(t)
	p, _ := newTap(t, tap.Config{Netns: "/run/netns/" + ns}, pbuf.Config{})
	require.Contains(t, run(t, ns, "ip", "link"), p.Info().Name)
}

func TestNetnsThatDoesNotExist(t *testing.T) {
	testenv.Root(t)
	for _, name := range []string{"shardstack-none", "/nowhere/ns"} {
		_, err := tap.New(tap.Config{Netns: name})
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestLifeOfAPort(t *testing.T) {
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	ns := testenv.Netns(t)
	p, err := tap.New(tap.Config{Netns: ns, Queues: 2})
	require.NoError(t, err)
	pool := pbuftest.NewPool(t, pbuf.Config{})
	require.ErrorIs(t, p.Attach(2, pool), port.ErrQueue)
	require.ErrorIs(t, p.Attach(0, pbuftest.NewPool(t, pbuf.Config{Buffers: -1})), port.ErrConfig)
	require.ErrorIs(t, p.Attach(0, pbuftest.NewPool(t, pbuf.Config{Buffers: 5, DataRoom: 256})), port.ErrConfig)
	require.NoError(t, p.Attach(0, pool))
	require.ErrorIs(t, p.Attach(0, pool), port.ErrState)
	require.ErrorIs(t, p.Start(), port.ErrNotAttached)
	require.NoError(t, p.Attach(1, pool))
	require.False(t, p.Link().Up)
	require.NoError(t, p.Start())
	require.ErrorIs(t, p.Start(), port.ErrState)
	require.ErrorIs(t, p.Attach(1, pool), port.ErrState)
	require.False(t, p.Link().Up, "nobody brought it up")
	require.Nil(t, p.Waiter(2))
	require.Equal(t, port.Stats{}, p.Stats(2))
	require.Zero(t, p.RxBurst(0, 0, make([]*pbuf.Pbuf, 4)), "takes buffers to read into")

	require.NoError(t, p.Close())
	require.True(t, pool.Full())
	require.ErrorIs(t, p.Close(), port.ErrClosed)
	require.ErrorIs(t, p.Start(), port.ErrClosed)
	require.ErrorIs(t, p.Attach(0, pool), port.ErrClosed)
	require.Nil(t, p.Waiter(0))
	require.False(t, p.Link().Up)
	require.NotContains(t, run(t, ns, "ip", "link"), "tap0", "the device is gone")
}

// A device that is down drops frames, and what it could never send is an error.
func TestFramesThatAreNotSent(t *testing.T) {
	ns := testenv.Netns(t)
	p, pools := newTap(t, tap.Config{Netns: ns}, pbuf.Config{Small: 2048})
	send := func(n int) port.Stats {
		b := pools[0].Alloc(pbuf.LayerRaw, n, pbuf.KindRAM)
		require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{b}))
		return p.Stats(0)
	}
	require.EqualValues(t, 1, send(13).TxErrors)
	require.EqualValues(t, 2, send(1523).TxErrors)
	require.EqualValues(t, 1, send(1522).TxPackets)
	require.EqualValues(t, 2, send(14).TxPackets)

	many := pools[0].Alloc(pbuf.LayerRaw, 14, pbuf.KindRAM)
	for range 1024 {
		many.Cat(pools[0].Alloc(pbuf.LayerRaw, 1, pbuf.KindRAM))
	}
	require.Equal(t, 1, p.TxBurst(0, 0, []*pbuf.Pbuf{many}))
	require.EqualValues(t, 3, p.Stats(0).TxErrors, "more buffers than a system call takes")

	run(t, ns, "ip", "link", "set", p.Info().Name, "down")
	require.EqualValues(t, 1, send(60).TxDropped)
	require.EqualValues(t, 2, p.Stats(0).TxPackets)
	require.EqualValues(t, 1522+14, p.Stats(0).TxBytes)
}

// A frame that is longer than the port's MTU, because somebody changed the
// kernel's, is dropped whole and counted, and not given cut off.
func TestFramesThatAreTooLong(t *testing.T) {
	for _, room := range []int{256, 2048} {
		ns := testenv.Netns(t)
		p, _ := newTap(t, tap.Config{Netns: ns, MTU: 576}, pbuf.Config{DataRoom: room})
		name := p.Info().Name
		run(t, ns, "ip", "link", "set", name, "mtu", "4000")
		run(t, ns, "ip", "neigh", "replace", "198.18.7.2", "lladdr", p.Info().MAC.String(), "dev", name)
		c := dial(t, ns, 1)[0]
		for _, n := range []int{2000, 100} {
			_, err := c.Write(make([]byte, n))
			require.NoError(t, err)
		}
		got := make([]*pbuf.Pbuf, 1)
		for short := false; !short; {
			require.True(t, poll(p.Waiter(0).FD(), 10_000))
			if p.RxBurst(0, 0, got) == 1 {
				short = got[0].TotLen() == 142 // other frames are IPv6's
				require.LessOrEqual(t, got[0].TotLen(), 576+22)
				got[0].Free()
			}
		}
		require.EqualValues(t, 1, p.Stats(0).RxErrors)
	}
}

// Without buffers frames stay in the kernel, and come when there are some.
func TestPoolThatIsEmpty(t *testing.T) {
	ns := testenv.Netns(t)
	p, pools := newTap(t, tap.Config{Netns: ns, MTU: 9000}, pbuf.Config{Buffers: 40})
	run(t, ns, "ip", "neigh", "replace", "198.18.7.2", "lladdr", p.Info().MAC.String(), "dev", p.Info().Name)
	var hoard []*pbuf.Pbuf
	for b := pools[0].Alloc(pbuf.LayerRaw, 1000, pbuf.KindPool); b != nil; b = pools[0].Alloc(pbuf.LayerRaw, 1000, pbuf.KindPool) {
		hoard = append(hoard, b)
	}
	_, err := dial(t, ns, 1)[0].Write([]byte("hello"))
	require.NoError(t, err)
	require.True(t, poll(p.Waiter(0).FD(), 10_000))
	got := make([]*pbuf.Pbuf, 1)
	require.Zero(t, p.RxBurst(0, 0, got))
	pbuf.FreeBatch(hoard)
	for text := ""; !strings.HasSuffix(text, "hello"); {
		require.True(t, poll(p.Waiter(0).FD(), 10_000))
		if p.RxBurst(0, 0, got) == 1 {
			text = string(got[0].Payload())
			got[0].Free()
		}
	}
}
