package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/tap"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Addresses of a lab's two ends, and its one service.
var (
	labStack  = netip.MustParsePrefix("198.18.0.1/24")
	labKernel = netip.MustParsePrefix("198.18.0.2/24")
)

const labPort = load.PortDiscard

// kernelEnd is a socket end of a lab: it writes or reads as fast as it goes.
type kernelEnd struct {
	ns    string
	bytes atomic.Uint64
	ln    net.Listener
	conn  net.Conn
}

// listen takes a connection and counts what it brings.
func (k *kernelEnd) listen() error {
	err := netspace.Do(k.ns, func() (err error) {
		k.ln, err = net.Listen("tcp4", fmt.Sprintf(":%d", labPort))
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		c, err := k.ln.Accept()
		if err != nil {
			return // closed
		}
		defer c.Close()
		buf := make([]byte, 256<<10)
		for {
			n, err := c.Read(buf)
			k.bytes.Add(uint64(n))
			if err != nil {
				return
			}
		}
	}()
	return nil
}

// write connects to the other end and writes until close.
func (k *kernelEnd) write(to netip.Addr) error {
	err := netspace.Do(k.ns, func() (err error) {
		d := net.Dialer{Timeout: 10 * time.Second}
		k.conn, err = d.Dial("tcp4", netip.AddrPortFrom(to, labPort).String())
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 256<<10)
		for {
			if _, err := k.conn.Write(buf); err != nil {
				return
			}
		}
	}()
	return nil
}

func (k *kernelEnd) close() {
	if k.ln != nil {
		_ = k.ln.Close()
	}
	if k.conn != nil {
		_ = k.conn.(*net.TCPConn).SetLinger(0)
		_ = k.conn.Close()
	}
}

// measureKernel times b.N kilobytes that bytes counts.
func measureKernel(b *testing.B, bytes func() uint64) {
	b.Helper()
	wait := func(n uint64) {
		for end := time.Now().Add(measureLimit); bytes() < n; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(end) {
				b.Fatalf("%d of %d bytes after %v", bytes(), n, measureLimit)
			}
		}
	}
	wait(64 << 20)
	begun := bytes()
	b.ResetTimer()
	wait(begun + uint64(b.N)*1000)
	b.StopTimer()
	b.ReportMetric(float64(bytes()-begun)*8/1e9/b.Elapsed().Seconds(), "Gbit/s")
}

// BenchmarkKernel is one connection between the stack and the Linux kernel over
// a TAP device, with offloads (virtio headers) and without, both ways, and the
// kernel with itself over veth, with its offloads. One shard has a core, the
// kernel and the benchmark's sockets have the others. An operation is a kilobyte
// that the receiver took. It needs root.
func BenchmarkKernel(b *testing.B) {
	for _, plain := range []bool{false, true} {
		name := map[bool]string{false: "tap-vnet", true: "tap-plain"}[plain]
		b.Run("from=stack/"+name, func(b *testing.B) { benchFromStack(b, plain) })
		b.Run("from=kernel/"+name, func(b *testing.B) { benchFromKernel(b, plain) })
	}
	b.Run("from=kernel/veth", benchVeth)
}

// labNetns makes a namespace whose kernel doesn't pace what it sends: BBR would,
// by what it took the device for at first.
func labNetns(b *testing.B) string {
	b.Helper()
	ns := testenv.Netns(b)
	require.NoError(b, netspace.Do(ns, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0)
	}))
	return ns
}

// labGroup makes a group of one shard on a TAP device in a namespace.
func labGroup(b *testing.B, plain bool, init func(*shard.Shard) error) (ns string) {
	b.Helper()
	testenv.Root(b)
	testenv.Device(b, "/dev/net/tun")
	ns = labNetns(b)
	p, err := tap.New(tap.Config{
		Netns: ns, Up: true, NoVnetHdr: plain, QueueLen: 4096,
		Addrs: []netip.Prefix{labKernel},
	})
	require.NoError(b, err)
	procs := runtime.GOMAXPROCS(0)
	g, err := shard.NewGroup(shard.Config{
		Cores: cores(b).First(1), Idle: shard.Spin,
		Pool:  pbuf.Config{Small: 16384, Buffers: 32768, Jumbo: 512},
		Stack: stack.Config{TCP: stack.TCPConfig{RecvBuf: 4 << 20, SendBuf: 4 << 20}},
		Ports: []shard.PortConfig{{Port: p, Addrs: []netip.Prefix{labStack}, TxQueue: 4096}},
		Init:  init,
	})
	if err != nil {
		_ = p.Close()
		b.Fatal(err)
	}
	b.Cleanup(func() {
		require.NoError(b, g.Stop())
		runtime.GOMAXPROCS(procs)
	})
	require.NoError(b, g.Start())
	return ns
}

func benchFromKernel(b *testing.B, plain bool) {
	var in taker
	ns := labGroup(b, plain, func(sh *shard.Shard) (err error) {
		in.s, err = load.NewServer(sh.Stack(), load.ServerConfig{Backlog: 16})
		sh.AddPoller(&in)
		return err
	})
	k := &kernelEnd{ns: ns}
	defer k.close()
	require.NoError(b, k.write(labStack.Addr()))
	measureKernel(b, in.bytes.Load)
}

// taker publishes what a server has taken.
type taker struct {
	s     *load.Server
	bytes atomic.Uint64
}

func (t *taker) Poll(int64) int {
	t.bytes.Store(t.s.Counters().BytesIn)
	return 0
}

func (t *taker) Next() int64 { return 0 }

func benchFromStack(b *testing.B, plain bool) {
	k := &kernelEnd{}
	defer k.close()
	start := make(chan string)
	ns := labGroup(b, plain, func(sh *shard.Shard) error {
		c := load.NewBulk(sh.Stack(), load.Config{To: netip.AddrPortFrom(labKernel.Addr(), labPort), Conns: 1})
		sh.AddPoller(&starter{c: c, start: start})
		return nil
	})
	k.ns = ns
	require.NoError(b, k.listen())
	close(start)
	measureKernel(b, k.bytes.Load)
}

// starter starts a client when the other end is there.
type starter struct {
	c     load.Client
	start chan string
	begun bool
}

func (s *starter) Poll(now int64) int {
	if !s.begun {
		select {
		case <-s.start:
			s.begun = true
			_ = s.c.Start() // tried again by Poll
		default:
			return 0
		}
	}
	return s.c.Poll(now)
}

func (s *starter) Next() int64 { return 0 }

// benchVeth is the kernel at both ends, with all that veth can do.
func benchVeth(b *testing.B) {
	testenv.Root(b)
	near, far := labNetns(b), labNetns(b)
	require.NoError(b, veth(near, far))
	r, w := &kernelEnd{ns: far}, &kernelEnd{ns: near}
	defer r.close()
	defer w.close()
	require.NoError(b, r.listen())
	require.NoError(b, w.write(labKernel.Addr()))
	measureKernel(b, r.bytes.Load)
}

// veth joins two namespaces.
func veth(near, far string) error {
	h, err := netns.GetFromName(far)
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "near0"
	err = netspace.Do(near, func() error {
		l := &netlink.Veth{LinkAttrs: attrs, PeerName: "far0", PeerNamespace: netlink.NsFd(int(h))}
		return errors.Join(netlink.LinkAdd(l), up("near0", labStack))
	})
	if err != nil {
		return err
	}
	return netspace.Do(far, func() error { return up("far0", labKernel) })
}

// up gives a device its address and brings it up.
func up(name string, addr netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr.String())
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(l, a), netlink.LinkSetUp(l))
}
