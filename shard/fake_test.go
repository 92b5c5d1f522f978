package shard

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// fakePort is a port whose frames the test makes and sees. Each queue receives
// what inject put in, in buffers of the pool attached to it.
type fakePort struct {
	info  port.Info
	start error

	mu     sync.Mutex
	pools  []*pbuf.Pool
	in     [][][]byte // by queue
	sent   [][]byte
	sentBy []int // queue of sent
	room   int   // frames that TxBurst takes in all; negative: any number
	closed int
}

var fakeMAC = header.MAC{2, 0, 0, 0, 0, 1}

func newFakePort(queues int) *fakePort {
	return &fakePort{
		info:  port.Info{Name: "fake", Queues: queues, MTU: 1500, MAC: fakeMAC, Caps: offload.MultiSeg},
		pools: make([]*pbuf.Pool, queues), in: make([][][]byte, queues), room: -1,
	}
}

func (f *fakePort) Info() port.Info        { return f.info }
func (f *fakePort) Start() error           { return f.start }
func (f *fakePort) Link() port.LinkState   { return port.LinkState{Up: true} }
func (f *fakePort) Waiter(int) port.Waiter { return nil }
func (f *fakePort) Stats(int) port.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return port.Stats{TxPackets: uint64(len(f.sent))}
}

func (f *fakePort) Attach(q int, pool *pbuf.Pool) error {
	f.pools[q] = pool
	return nil
}

func (f *fakePort) Close() error {
	f.closed++
	return nil
}

// inject has frames arrive at a queue.
func (f *fakePort) inject(q int, frames ...[]byte) {
	f.mu.Lock()
	f.in[q] = append(f.in[q], frames...)
	f.mu.Unlock()
}

func (f *fakePort) RxBurst(q int, _ int64, dst []*pbuf.Pbuf) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(dst) && len(f.in[q]) > 0 {
		p := f.pools[q].Alloc(pbuf.LayerLink, len(f.in[q][0]), pbuf.KindPool)
		if p == nil {
			break
		}
		copy(p.Payload(), f.in[q][0])
		f.in[q] = f.in[q][1:]
		dst[n] = p
		n++
	}
	return n
}

func (f *fakePort) TxBurst(q int, _ int64, ps []*pbuf.Pbuf) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; n < len(ps) && f.room != 0; n++ {
		b := make([]byte, ps[n].TotLen())
		ps[n].CopyPartial(b, 0)
		f.sent, f.sentBy = append(f.sent, b), append(f.sentBy, q)
		ps[n].Free()
		f.room--
	}
	return n
}

// take returns and forgets the frames sent.
func (f *fakePort) take() (frames [][]byte, queues []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	frames, queues = f.sent, f.sentBy
	f.sent, f.sentBy = nil, nil
	return frames, queues
}

// testPool is a small pool without huge pages.
var testPool = pbuf.Config{Small: 1024, Buffers: 1024, Jumbo: 8, HugePages: pbuf.HugeNever}

// testSeed makes groups of tests repeat themselves.
var testSeed = [32]byte{'s', 'e', 'e', 'd'}

// config is what tests start from: shards without pinning, a small pool, a
// fixed seed.
func config(shards int, ports ...PortConfig) Config {
	c := Config{NoPin: true, Shards: shards, Ports: ports, Pool: testPool}
	c.Stack.Seed = testSeed
	return c
}

// manual is config for a group that is stepped.
func manual(shards int, ports ...PortConfig) Config {
	c := config(shards, ports...)
	c.Manual = true
	return c
}

// newGroup makes a group that is stopped at the end of the test, which fails if
// that reports anything: a leak, or a panic.
func newGroup(t testing.TB, cfg Config) *Group {
	t.Helper()
	g, err := NewGroup(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Stop()) })
	return g
}

// start is newGroup and Start.
func start(t testing.TB, cfg Config) *Group {
	t.Helper()
	g := newGroup(t, cfg)
	require.NoError(t, g.Start())
	return g
}

// step runs rounds of a manual group, a microsecond apart.
func step(t testing.TB, g *Group, rounds int) {
	t.Helper()
	for range rounds {
		_, err := g.Step(g.shards[0].now + 1000)
		require.NoError(t, err)
	}
}

func addr4(s string) header.Addr { return header.FromNetip(netip.MustParseAddr(s)) }

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// frame4 is an Ethernet frame from peerMAC to fakeMAC with an IPv4 packet.
func frame4(f header.IPv4Fields, l4 []byte) []byte {
	b := make([]byte, header.EthernetLen+header.IPv4Len, header.EthernetLen+header.IPv4Len+len(l4))
	(*header.Ethernet)(b).Encode(fakeMAC, peerMAC, header.EtherTypeIPv4)
	f.TotalLen = uint16(header.IPv4Len + len(l4))
	if f.TTL == 0 {
		f.TTL = 64
	}
	(*header.IPv4)(b[header.EthernetLen:]).Encode(&f)
	return append(b, l4...)
}

var peerMAC = header.MAC{2, 0, 0, 0, 0, 2}

// udpMessage is a UDP header with data and checksum.
func udpMessage(src, dst header.Addr, sport, dport uint16, data []byte) []byte {
	b := make([]byte, header.UDPLen, header.UDPLen+len(data))
	(*header.UDP)(b).Encode(&header.UDPFields{SrcPort: sport, DstPort: dport, Length: uint16(header.UDPLen + len(data))})
	b = append(b, data...)
	sum := header.PseudoHeader(src, dst, header.ProtoUDP, uint32(len(b)))
	(*header.UDP)(b).SetChecksum(^header.Checksum(b, sum))
	return b
}

// udpFrame is a frame with a UDP message.
func udpFrame(src, dst string, sport, dport uint16, data []byte) []byte {
	s, d := addr4(src), addr4(dst)
	return frame4(header.IPv4Fields{Protocol: header.ProtoUDP, Src: s, Dst: d}, udpMessage(s, d, sport, dport, data))
}

// tcpFrame is a frame with a TCP segment without data.
func tcpFrame(src, dst string, sport, dport uint16, flags header.TCPFlags) []byte {
	s, d := addr4(src), addr4(dst)
	b := make([]byte, header.TCPLen)
	(*header.TCP)(b).Encode(&header.TCPFields{SrcPort: sport, DstPort: dport, Flags: flags, Window: 1000})
	sum := header.PseudoHeader(s, d, header.ProtoTCP, uint32(len(b)))
	(*header.TCP)(b).SetChecksum(^header.Checksum(b, sum))
	return frame4(header.IPv4Fields{Protocol: header.ProtoTCP, Src: s, Dst: d}, b)
}

// icmpFrame is a frame with an ICMP message.
func icmpFrame(src, dst string, typ, code uint8, rest uint32, data []byte) []byte {
	b := make([]byte, header.ICMPv4Len, header.ICMPv4Len+len(data))
	(*header.ICMPv4)(b).Encode(typ, code, rest)
	b = append(b, data...)
	(*header.ICMPv4)(b).SetChecksum(^header.Checksum(b, 0))
	return frame4(header.IPv4Fields{Protocol: header.ProtoICMP, Src: addr4(src), Dst: addr4(dst)}, b)
}

// arpFrame is an ARP packet from the peer.
func arpFrame(op uint16, senderIP, targetIP string) []byte {
	b := make([]byte, header.EthernetLen+header.ARPLen)
	(*header.Ethernet)(b).Encode(fakeMAC, peerMAC, header.EtherTypeARP)
	(*header.ARP)(b[header.EthernetLen:]).Encode(&header.ARPFields{
		Op: op, SenderMAC: peerMAC, SenderIP: addr4(senderIP), TargetMAC: fakeMAC, TargetIP: addr4(targetIP)})
	return b
}
