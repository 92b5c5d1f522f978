package sim

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// The flood: SYNs from forged addresses, evenly over floodTime, and clients that
// connect meanwhile, ask and are answered.
const (
	floodTime    = 10 * time.Second
	floodClients = 1000
	floodBacklog = 128
	floodAsk     = 1000 // bytes of a request, and of the answer
)

var (
	floodServer  = netip.MustParseAddr("198.18.0.1")
	floodForged  = netip.MustParsePrefix("198.19.0.0/16") // behind the attacker
	floodGateway = netip.MustParseAddr("198.18.255.254")
)

// flood is the network: clients and the attacker at a switch, and the server.
type flood struct {
	t        *testing.T
	net      *Network
	server   *Host
	clients  *Host // with an address for each client
	attacker *Station
	pool     *pbuf.Pool    // the server's
	mac      [2]header.MAC // the attacker's and the server's
	rng      *rand.Rand

	answered, failed int
	synAcks          int // that the attacker's network saw
	most             struct{ pcbs, small, standard int }
}

func newFlood(t *testing.T) *flood {
	f := &flood{t: t, net: newNet(t, 1), rng: rand.New(rand.NewPCG(1, 2))}
	var err error
	f.pool, err = pbuf.NewPool(pbuf.Config{Name: "server", Small: 2048, Buffers: 2048, Jumbo: -1, HugePages: pbuf.HugeNever})
	require.NoError(t, err)
	f.server, err = f.net.AddHost(HostConfig{Name: "server", Stack: stack.Config{Pool: f.pool,
		TCP: stack.TCPConfig{TimeWait: time.Second}}})
	require.NoError(t, err)
	f.clients, err = f.net.AddHost(HostConfig{Name: "clients"})
	require.NoError(t, err)
	f.attacker = f.net.AddStation("attacker", func(_ int64, p *pbuf.Pbuf) {
		if b := p.Payload(); len(b) > 47 && b[23] == 6 && header.TCPFlags(b[47]) == header.TCPSyn|header.TCPAck {
			f.synAcks++
		}
	})
	sw := f.net.AddSwitch("switch")
	link := netem.Config{Rate: 1e9, Delay: 5 * time.Millisecond}
	var addrs []netip.Prefix
	for i := range floodClients {
		addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 4 + byte(i/250), 1 + byte(i%250)}), 16))
	}
	s, err := f.net.Connect(LinkConfig{A: end(f.server, "198.18.0.1/16"), B: End{Node: sw}, AB: link, BA: link})
	require.NoError(t, err)
	_, err = f.net.Connect(LinkConfig{A: End{Node: f.clients, Addrs: addrs}, B: End{Node: sw}, AB: link, BA: link})
	require.NoError(t, err)
	a, err := f.net.Connect(LinkConfig{A: End{Node: f.attacker}, B: End{Node: sw}, AB: link, BA: link})
	require.NoError(t, err)
	f.mac = [2]header.MAC{a.A().MAC(), s.A().MAC()}

	nif := f.server.Stack().Netifs()[0]
	require.NoError(t, f.server.Stack().AddRoute(floodForged, floodGateway, nif))
	require.NoError(t, f.server.Stack().AddNeighbor(nif, floodGateway, f.mac[0]))
	f.listen()
	return f
}

// listen has the server answer each request with its bytes inverted.
func (f *flood) listen() {
	l := f.server.Stack().NewTCP()
	require.NoError(f.t, l.Bind(netip.AddrPortFrom(floodServer, 80)))
	l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
		pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
			if p == nil {
				return pcb.Close()
			}
			b := make([]byte, p.TotLen())
			p.CopyPartial(b, 0)
			p.Free()
			for i := range b {
				b[i] ^= 0xff
			}
			pcb.Recved(len(b))
			return pcb.Write(b, 0)
		})
		return nil
	})
	require.NoError(f.t, l.Listen(floodBacklog))
}

// client connects from address number i, asks, and closes when all of the answer
// is there.
func (f *flood) client(i int) {
	ask, got := make([]byte, floodAsk), []byte(nil)
	for k := range ask {
		ask[k] = byte(f.rng.Uint32())
	}
	pcb := f.clients.Stack().NewTCP()
	pcb.SetErr(func(_ any, err error) { f.failed++ })
	pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			return pcb.Close()
		}
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		pcb.Recved(len(b))
		if got = append(got, b...); len(got) < floodAsk {
			return nil
		}
		for k := range got {
			got[k] ^= 0xff
		}
		if bytes.Equal(got, ask) {
			f.answered++
		}
		pcb.SetErr(nil)
		return pcb.Close()
	})
	from := f.clients.Stack().Netifs()[0].Addrs()[i].Addr()
	require.NoError(f.t, pcb.Bind(netip.AddrPortFrom(from, 0)))
	require.NoError(f.t, pcb.Connect(netip.AddrPortFrom(floodServer, 80), func(_ any, pcb *stack.TCP, _ error) error {
		return pcb.Write(ask, 0)
	}))
}

// syn sends a SYN from a forged address, with the options of a common system.
func (f *flood) syn(frame []byte) {
	src := floodForged.Addr().As4()
	r := f.rng.Uint64()
	src[2], src[3] = byte(r), byte(r>>8)
	from, to := header.AddrFrom4(src), header.FromNetip(floodServer)
	(*header.Ethernet)(frame[:14]).Encode(f.mac[1], f.mac[0], header.EtherTypeIPv4)
	ip := (*header.IPv4)(frame[14:34])
	ip.Encode(&header.IPv4Fields{TotalLen: uint16(len(frame) - 14), ID: uint16(r >> 16), TTL: 60, Protocol: header.ProtoTCP, Src: from, Dst: to})
	ip.FillChecksum(frame[14:34])
	tcp := frame[34:]
	opts := []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, byte(r), 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}
	h := (*header.TCP)(tcp[:20])
	h.Encode(&header.TCPFields{SrcPort: 1024 + uint16(r>>32)%60000, DstPort: 80, Seq: header.Seq(f.rng.Uint32()), Flags: header.TCPSyn, Window: 64240})
	copy(tcp[20:], opts)
	h.SetHdrLen(40)
	h.SetChecksum(0)
	h.SetChecksum(^header.Checksum(tcp, header.PseudoHeader4(from, to, header.ProtoTCP, uint16(len(tcp)))))
	require.NoError(f.t, f.attacker.Send(0, frame))
}

// sample notes how much the server holds.
func (f *flood) sample() {
	m := &f.most
	m.pcbs = max(m.pcbs, int(f.server.Stack().Stats().TCP.CurrPCBs))
	m.small = max(m.small, f.pool.Cap(pbuf.ClassSmall)-f.pool.Avail(pbuf.ClassSmall))
	m.standard = max(m.standard, f.pool.Cap(pbuf.ClassStandard)-f.pool.Avail(pbuf.ClassStandard))
}

// TestSYNFlood (RFC 4987): while SYNs from forged addresses come without end,
// every real client gets through, and the server keeps nothing beyond its
// backlog.
func TestSYNFlood(t *testing.T) {
	f := newFlood(t)
	frame := make([]byte, 74)
	start, step := f.net.Now(), int64(floodTime)/floodSYNs
	for i := range int64(floodClients) {
		f.net.At(start+i*int64(floodTime)/floodClients, func() { f.client(int(i)) })
	}
	var before, after runtime.MemStats
	warm := floodSYNs / 100
	for i := range int64(floodSYNs) {
		if i == int64(warm) {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		f.net.RunTo(start + i*step)
		f.syn(frame)
		if i%64 == 0 {
			f.sample()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	f.net.Run(5 * time.Second)

	st := f.server.Stack().Stats().TCP
	t.Logf("%d SYNs from forged addresses in %v, %d SYN-ACKs to them, %d cookies sent", floodSYNs, floodTime, f.synAcks, st.SynCookiesSent)
	t.Logf("%d of %d clients answered, %d by cookies", f.answered, floodClients, st.SynCookiesRecv)
	t.Logf("most at a time: %d PCBs (backlog %d), %d small and %d standard buffers", f.most.pcbs, floodBacklog, f.most.small, f.most.standard)
	t.Logf("Go heap of the whole simulation: %d KiB, then %d KiB", before.HeapAlloc>>10, after.HeapAlloc>>10)
	require.Equal(t, floodClients, f.answered)
	require.Zero(t, f.failed)
	require.Zero(t, f.server.Missed(), "the server's pool never ran dry")
	require.Positive(t, st.SynCookiesRecv)
	require.Greater(t, f.synAcks, floodSYNs*9/10)
	// The listener, its backlog, and those that are open, or in TIME-WAIT for 1 s.
	require.LessOrEqual(t, f.most.pcbs, 1+floodBacklog+floodClients/8)
	require.Less(t, f.most.small+f.most.standard, 1000)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(floodHeap), "bytes that the flood left")

	f.server.Stack().Close()
	require.NoError(t, f.pool.Close())
}
