package netconn_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/port/tap"
	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// The ends of a lab: the stack's and the kernel's.
var labEnds = []struct {
	name          string
	stack, kernel netip.Prefix
}{
	{"ipv4", netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("198.18.0.2/24")},
	{"ipv6", netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64")},
}

// kernelLab is a stack of two shards whose peer is the kernel of a namespace, with
// Fast Open on.
type kernelLab struct {
	t   *testing.T
	ns  string
	net *netconn.Net
	g   *shard.Group
}

func newKernelLab(t *testing.T, cfg stack.Config) *kernelLab {
	t.Helper()
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	l := &kernelLab{t: t, ns: testenv.Netns(t)}
	l.sysctl("net/ipv4/tcp_fastopen", "3")
	l.sysctl("net/ipv6/conf/default/accept_dad", "0")
	var own, kernel []netip.Prefix
	for _, e := range labEnds {
		own, kernel = append(own, e.stack), append(kernel, e.kernel)
	}
	p, err := tap.New(tap.Config{Netns: l.ns, Up: true, Queues: 2, Addrs: kernel})
	require.NoError(t, err)
	cfg.IPv6.DADTransmits = -1
	l.g, err = shard.NewGroup(shard.Config{
		NoPin: true, Shards: 2, Stack: cfg,
		Ports: []shard.PortConfig{{Port: p, Addrs: own}},
	})
	if err != nil {
		_ = p.Close()
		t.Fatal(err)
	}
	require.NoError(t, l.g.Start())
	t.Cleanup(func() { require.NoError(t, l.g.Stop()) })
	l.net, err = netconn.New(l.g, netconn.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.net.Close()) })
	return l
}

// sysctl sets one of the namespace's.
func (l *kernelLab) sysctl(name, value string) {
	l.t.Helper()
	require.NoError(l.t, netspace.Do(l.ns, func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	}))
}

// counter is one of the kernel's in TcpExt.
func (l *kernelLab) counter(name string) (n int) {
	l.t.Helper()
	require.NoError(l.t, netspace.Do(l.ns, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/netstat")
		lines := strings.Split(string(b), "\n")
		for i, line := range lines {
			if !strings.HasPrefix(line, "TcpExt:") || i%2 != 0 {
				continue
			}
			names, values := strings.Fields(line), strings.Fields(lines[i+1])
			for j := range names {
				if names[j] == name {
					n, err = strconv.Atoi(values[j])
				}
			}
		}
		return err
	}))
	return n
}

// listen is a listener of the kernel's with Fast Open, which echoes.
func (l *kernelLab) listen(addr string, n int) net.Listener {
	l.t.Helper()
	var ln net.Listener
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 64) })
		return err
	}}
	require.NoError(l.t, netspace.Do(l.ns, func() (err error) {
		ln, err = lc.Listen(context.Background(), "tcp", addr)
		return err
	}))
	go echoFirst(ln, n)
	l.t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// TestLinuxTakesDataInSYN: the stack asks Linux for a cookie and uses it; when Linux
// has another key, it falls back and takes the new cookie.
func TestLinuxTakesDataInSYN(t *testing.T) {
	l := newKernelLab(t, stack.Config{})
	first := []byte(strings.Repeat("0123456789abcdef", 40)) // more would not matter
	for i, e := range labEnds {
		t.Run(e.name, func(t *testing.T) {
			addr := netip.AddrPortFrom(e.kernel.Addr(), uint16(8000+i)).String()
			l.listen(addr, len(first))
			dial := func() (inSyn bool) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				c, err := l.net.DialFastOpen(ctx, "tcp", addr, first)
				require.NoError(t, err)
				got, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Equal(t, first, got)
				info, err := c.(*netconn.TCPConn).Info()
				require.NoError(t, err)
				require.NoError(t, c.Close())
				return info.SynData
			}
			before, passive := tcpStats(t, l.g), l.counter("TCPFastOpenPassive")
			for range 2 { // one a shard
				require.False(t, dial(), "there was no cookie")
			}
			for range 8 {
				require.True(t, dial())
			}
			after := tcpStats(t, l.g)
			require.EqualValues(t, 8, after.FastOpenActive-before.FastOpenActive)
			require.EqualValues(t, 2, after.FastOpenCookiesRecv-before.FastOpenCookiesRecv)
			require.Equal(t, 8, l.counter("TCPFastOpenPassive")-passive)

			l.sysctl("net/ipv4/tcp_fastopen_key", fmt.Sprintf("%08d-22222222-33333333-44444444", i))
			for range 2 {
				require.False(t, dial(), "the cookie was an old one")
			}
			for range 2 {
				require.True(t, dial())
			}
			require.EqualValues(t, 2, tcpStats(t, l.g).FastOpenActiveFail-before.FastOpenActiveFail)
		})
	}
}

// TestLinuxSendsDataInSYN: Linux asks the stack for a cookie and uses it, whichever
// shard its connections come to.
func TestLinuxSendsDataInSYN(t *testing.T) {
	l := newKernelLab(t, stack.Config{})
	first := []byte("GET / HTTP/1.0\r\n\r\n")
	for _, e := range labEnds {
		t.Run(e.name, func(t *testing.T) {
			at := netip.AddrPortFrom(e.stack.Addr(), 80)
			ln, err := l.net.Listen("tcp", at.String())
			require.NoError(t, err)
			require.NoError(t, ln.(*netconn.Listener).SetFastOpen(stack.FastOpen{Pending: 16}))
			done := make(chan struct{})
			go func() { echoFirst(ln, len(first)); close(done) }()
			before, active := tcpStats(t, l.g), l.counter("TCPFastOpenActive")
			const n = 20
			for i := range n {
				inSyn, got, err := l.sendFast(at, first)
				require.NoError(t, err)
				require.Equal(t, first, got)
				require.Equal(t, i > 0, inSyn)
			}
			after := tcpStats(t, l.g)
			require.EqualValues(t, 1, after.FastOpenCookieReqs-before.FastOpenCookieReqs)
			require.EqualValues(t, n-1, after.FastOpenPassive-before.FastOpenPassive)
			require.Equal(t, before.FastOpenPassiveFail, after.FastOpenPassiveFail)
			require.Equal(t, n-1, l.counter("TCPFastOpenActive")-active)
			// A key that Linux's cookie is not of: it gets the data through and the new
			// cookie, and then the one before is still good.
			old, fresh := stack.FastOpenKey{1}, stack.FastOpenKey{2}
			for _, c := range []struct {
				keys  []stack.FastOpenKey
				inSyn bool
			}{{[]stack.FastOpenKey{old}, false}, {[]stack.FastOpenKey{old}, true}, {[]stack.FastOpenKey{fresh, old}, true}, {[]stack.FastOpenKey{fresh}, true}} {
				require.NoError(t, l.net.SetFastOpenKeys(c.keys...))
				inSyn, got, err := l.sendFast(at, first)
				require.NoError(t, err)
				require.Equal(t, first, got)
				require.Equal(t, c.inSyn, inSyn)
			}
			require.NoError(t, l.net.SetFastOpenKeys())
			require.NoError(t, ln.Close())
			<-done
		})
	}
}

// sendFast opens a connection of the kernel's with data and reads to the end. inSyn:
// the data was acknowledged with the SYN.
func (l *kernelLab) sendFast(to netip.AddrPort, b []byte) (inSyn bool, got []byte, err error) {
	err = netspace.Do(l.ns, func() error {
		family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port())})
		if to.Addr().Is6() {
			family, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
		} else {
			addr.(*unix.SockaddrInet4).Addr = to.Addr().As4()
		}
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		tv := unix.Timeval{Sec: 20}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		if err := unix.Sendto(fd, b, unix.MSG_FASTOPEN, addr); err != nil {
			return err
		}
		buf := make([]byte, 4096)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			got = append(got, buf[:n]...)
		}
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			const synData = 32 // TCPI_OPT_SYN_DATA
			inSyn = info.Options&synData != 0
		}
		return err
	})
	return inSyn, got, err
}
