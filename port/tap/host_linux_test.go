package tap_test

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
	"github.com/shardstack/shardstack/port/tap"
)

// The addresses of the tests are of the range for benchmarks (RFC 2544), and in
// a namespace of their own.
var (
	kernelNet  = netip.MustParsePrefix("198.18.7.1/24")
	kernelAddr = header.FromNetip(kernelNet.Addr())
	ourAddr    = header.FromNetip(netip.MustParseAddr("198.18.7.2"))
)

// newTap makes a started port in a namespace of its own, with a pool for each
// queue. At the end it is closed, and all pools must be full.
func newTap(t testing.TB, cfg tap.Config, pool pbuf.Config) (*tap.Port, []*pbuf.Pool) {
	t.Helper()
	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	if cfg.Netns == "" {
		cfg.Netns = testenv.Netns(t)
	}
	cfg.Up = true
	if cfg.Addrs == nil {
		cfg.Addrs = []netip.Prefix{kernelNet}
	}
	p, err := tap.New(cfg)
	require.NoError(t, err)
	var pools []*pbuf.Pool
	for q := range p.Info().Queues {
		pools = append(pools, pbuftest.NewPool(t, pool))
		require.NoError(t, p.Attach(q, pools[q]))
	}
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, p.Start())
	return p, pools
}

// within calls fn on a thread in the namespace. What it opens stays there.
func within(t testing.TB, name string, fn func() error) {
	t.Helper()
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		ns, err := netns.GetFromName(name)
		if err == nil {
			err = netns.Set(ns)
			ns.Close()
		}
		if err == nil {
			err = fn()
		}
		errs <- err
	}()
	require.NoError(t, <-errs)
}

// host is as much of a stack as the tests need: it answers ARP for ourAddr and
// echo requests, sends UDP back to where it came from, and checks all checksums.
type host struct {
	p     *tap.Port
	pools []*pbuf.Pool
	chop  int // answers are chains of buffers of this length; 0 = one buffer
	stop  atomic.Bool
	wg    sync.WaitGroup

	mu      sync.Mutex
	faults  []string
	udp     map[int]int // by queue: datagrams
	chains  int         // frames that came in more than one buffer
	partial int         // frames whose checksum the kernel left to us
}

// serve starts a thread for each queue.
func serve(t testing.TB, p *tap.Port, pools []*pbuf.Pool, chop int) *host {
	h := &host{p: p, pools: pools, chop: chop, udp: map[int]int{}}
	for q := range pools {
		h.wg.Go(func() { h.run(q) })
	}
	t.Cleanup(func() { h.halt(t) })
	return h
}

func (h *host) halt(t testing.TB) {
	t.Helper()
	h.stop.Store(true)
	h.wg.Wait()
	require.Empty(t, h.faults)
}

func (h *host) run(q int) {
	ps := make([]*pbuf.Pbuf, 32)
	w := h.p.Waiter(q)
	for !h.stop.Load() {
		n := h.p.RxBurst(q, 0, ps)
		if n == 0 && w.Arm() {
			poll(w.FD(), 10)
		}
		for _, p := range ps[:n] {
			h.mu.Lock()
			if p.Next() != nil {
				h.chains++
			}
			if p.Flags&pbuf.RxL4Partial != 0 { // UDP's: nothing else comes with a checksum
				h.partial++
				offload.Forward(p, header.ProtoUDP)
				offload.FinishTx(p, 0)
			}
			b := make([]byte, p.TotLen())
			p.CopyPartial(b, 0)
			answer := h.answer(q, b)
			h.mu.Unlock()
			p.Free()
			if answer != nil {
				h.send(q, answer)
			}
		}
	}
}

func (h *host) send(q int, b []byte) {
	chop := h.chop
	if chop == 0 {
		chop = len(b)
	}
	var head *pbuf.Pbuf
	for part := range slices.Chunk(b, chop) {
		p := h.pools[q].Alloc(pbuf.LayerRaw, len(part), pbuf.KindRAM)
		copy(p.Payload(), part)
		if head == nil {
			head = p
		} else {
			head.Cat(p)
		}
	}
	for h.p.TxBurst(q, 0, []*pbuf.Pbuf{head}) == 0 {
		runtime.Gosched()
	}
}

func (h *host) fault(what string) { h.faults = append(h.faults, what) }

// answer turns a frame into its answer, nil for none.
func (h *host) answer(q int, b []byte) []byte {
	eth, f := header.ParseEthernet(b)
	if f != header.OK {
		h.fault(f.String())
		return nil
	}
	back := func() { eth.Encode(eth.Src(), h.p.Info().MAC, eth.Type()) }
	switch eth.Type() {
	case header.EtherTypeARP:
		a, f := header.ParseARP(b[14:])
		if f != header.OK || a.Op() != header.ARPRequest || a.TargetIP() != ourAddr {
			return nil
		}
		back()
		a.Encode(&header.ARPFields{
			Op: header.ARPReply, SenderMAC: h.p.Info().MAC, SenderIP: ourAddr,
			TargetMAC: a.SenderMAC(), TargetIP: a.SenderIP(),
		})
		return b
	case header.EtherTypeIPv4:
		ip, n, total, f := header.ParseIPv4(b[14:])
		if f != header.OK || ip.Dst() != ourAddr || ip.IsFragment() {
			return nil
		}
		if !ip.VerifyChecksum(b[14 : 14+n]) {
			h.fault("IPv4 checksum")
		}
		back()
		ip.SetDst(ip.Src())
		ip.SetSrc(ourAddr)
		return h.answerIP(q, ip.Protocol(), b[:14+total], 14+n)
	}
	return nil
}

func (h *host) answerIP(q int, proto header.Protocol, b []byte, l4 int) []byte {
	body := b[l4:]
	switch proto {
	case header.ProtoICMP:
		icmp, f := header.ParseICMPv4(body)
		if f != header.OK || icmp.Type() != header.ICMPv4Echo {
			return nil
		}
		if header.Checksum(body, 0) != 0xffff {
			h.fault("ICMP checksum")
		}
		icmp.SetType(header.ICMPv4EchoReply)
		icmp.SetChecksum(0)
		icmp.SetChecksum(^header.Checksum(body, 0))
		return b
	case header.ProtoUDP:
		udp, n, f := header.ParseUDP(body)
		if f != header.OK {
			h.fault(f.String())
			return nil
		}
		sum := header.PseudoHeader4(ourAddr, kernelAddr, header.ProtoUDP, uint16(n))
		if header.Checksum(body[:n], sum) != 0xffff {
			h.fault("UDP checksum")
		}
		h.udp[q]++
		udp.Encode(&header.UDPFields{SrcPort: udp.DstPort(), DstPort: udp.SrcPort(), Length: uint16(n), Checksum: 0})
		udp.SetChecksum(header.UDPChecksum(header.Checksum(body[:n], sum)))
		return b
	}
	return nil
}

// counts are the host's own.
func (h *host) counts() (udp map[int]int, chains int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := map[int]int{}
	for q, n := range h.udp {
		c[q] = n
	}
	return c, h.chains
}

// poll asks poll(2) whether a descriptor is readable, for up to ms milliseconds.
func poll(fd, ms int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if err != unix.EINTR {
			return n == 1
		}
	}
}
