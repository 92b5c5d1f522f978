package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/impair"
	"github.com/shardstack/shardstack/port/tap"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// Addresses of the wire's ends (RFC 2544 appendix C). The injector is at the
// near one.
var (
	nearNet = netip.MustParsePrefix("198.18.0.1/24")
	farNet  = netip.MustParsePrefix("198.18.0.2/24")
)

// end is a TCP at one end of the wire.
type end interface {
	listen(port int) (net.Listener, error)
	dial(to netip.AddrPort) (net.Conn, error)
	addr() netip.Addr
}

// kernel is the TCP of a network namespace.
type kernel struct {
	ns      string
	at      netip.Addr
	control string
}

func (k *kernel) addr() netip.Addr { return k.at }

// option sets the congestion control of a socket. A privileged process may use
// any that the kernel has, whatever tcp_allowed_congestion_control says.
func (k *kernel) option(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, k.control)
	})
	return errors.Join(cerr, err)
}

func (k *kernel) listen(port int) (ln net.Listener, err error) {
	err = netspace.Do(k.ns, func() (err error) {
		lc := net.ListenConfig{Control: k.option}
		ln, err = lc.Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	return ln, err
}

func (k *kernel) dial(to netip.AddrPort) (c net.Conn, err error) {
	err = netspace.Do(k.ns, func() (err error) {
		d := net.Dialer{Timeout: dialLimit, Control: k.option}
		c, err = d.Dial("tcp4", to.String())
		return err
	})
	return c, err
}

const dialLimit = 30 * time.Second

// ours is this stack, over netconn.
type ours struct {
	net   *netconn.Net
	group *shard.Group
}

func (o *ours) addr() netip.Addr { return nearNet.Addr() }

func (o *ours) listen(port int) (net.Listener, error) {
	return o.net.Listen("tcp4", fmt.Sprintf("%v:%d", nearNet.Addr(), port))
}

func (o *ours) dial(to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	return o.net.DialContext(ctx, "tcp4", to.String())
}

// lab is a wire with its two ends.
type lab struct {
	near, far end
	closers   []func() error
}

func (l *lab) close() (err error) {
	for i := len(l.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, l.closers[i]())
	}
	return err
}

// serial numbers the namespaces of this process.
var serial atomic.Int32

// namespace makes a network namespace that goes with the lab.
func (l *lab) namespace() (string, error) {
	name := fmt.Sprintf("lossy-%d-%d", os.Getpid(), serial.Add(1))
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("ip netns add: %w: %s", err, out)
	}
	l.closers = append(l.closers, func() error { return exec.Command("ip", "netns", "del", name).Run() })
	return name, nil
}

// device makes a namespace with a TAP device whose kernel has the address.
func (l *lab) device(kernelNet netip.Prefix) (ns string, dev *tap.Port, err error) {
	if ns, err = l.namespace(); err != nil {
		return "", nil, err
	}
	// No virtio headers: each frame is one packet, and has a fate of its own.
	dev, err = tap.New(tap.Config{Name: "lossy0", Netns: ns, Addrs: []netip.Prefix{kernelNet}, Up: true, NoVnetHdr: true, QueueLen: 10_000})
	return ns, dev, err
}

// buffers is the pool of whoever holds what is on the wire.
var buffers = pbuf.Config{Small: 8192, Buffers: 32768, Jumbo: -1}

// newStackLab is a wire between this stack and the kernel.
func newStackLab(control string, faults impair.Config) (*lab, error) {
	l := &lab{}
	err := l.addStack(control, faults)
	if err != nil {
		err = errors.Join(err, l.close())
	}
	return l, err
}

func (l *lab) addStack(control string, faults impair.Config) error {
	ns, dev, err := l.device(farNet)
	if err != nil {
		return err
	}
	bad, err := impair.Wrap(dev, faults)
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	// The kernel's names of controllers are the stack's too.
	cfg := stack.Config{TCP: stack.TCPConfig{Congestion: control, SendBuf: 4 << 20, RecvBuf: 6 << 20}}
	g, err := shard.NewGroup(shard.Config{
		NoPin: true, OwnThread: true, Pool: buffers, Stack: cfg,
		Ports: []shard.PortConfig{{Port: bad, Addrs: []netip.Prefix{nearNet}}},
	})
	if err != nil {
		return errors.Join(err, bad.Close())
	}
	if err := g.Start(); err != nil {
		return err
	}
	l.closers = append(l.closers, g.Stop)
	n, err := netconn.New(g, netconn.Config{Pool: buffers})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, n.Close)
	l.near, l.far = &ours{n, g}, &kernel{ns, farNet.Addr(), control}
	return nil
}

// newKernelLab is the same wire between two kernels.
func newKernelLab(control string, faults impair.Config) (*lab, error) {
	l := &lab{}
	err := l.addKernels(control, faults)
	if err != nil {
		err = errors.Join(err, l.close())
	}
	return l, err
}

func (l *lab) addKernels(control string, faults impair.Config) error {
	nearNS, nearDev, err := l.device(nearNet)
	if err != nil {
		return err
	}
	farNS, farDev, err := l.device(farNet)
	if err != nil {
		return errors.Join(err, nearDev.Close())
	}
	bad, err := impair.Wrap(nearDev, faults)
	if err != nil {
		return errors.Join(err, nearDev.Close(), farDev.Close())
	}
	b, err := newBridge(bad, farDev)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, b.close)
	l.near, l.far = &kernel{nearNS, nearNet.Addr(), control}, &kernel{farNS, farNet.Addr(), control}
	return nil
}
