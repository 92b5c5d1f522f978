package stack

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// NetifConfig describes an interface.
type NetifConfig struct {
	// Name for statistics and messages. Default "if".
	Name string
	// MAC is the interface's own address.
	MAC header.MAC
	// MTU is the largest IP packet. Default 1500, range 576 … 65535
	// (RFC 1122 3.3.3).
	MTU int
	// VLAN id that this interface lives on; 0: untagged.
	VLAN uint16
	// Caps are what the port does in hardware; the rest is done in software.
	Caps offload.Caps
	// Promiscuous accepts unicast frames for any MAC.
	Promiscuous bool
	// TxQueue is how many frames may wait for a full port. Default 1024.
	TxQueue int
	// Output sends frames. It takes ownership of the first n that it returns;
	// the others are offered again. Required. (netif->linkoutput)
	Output func(ps []*pbuf.Pbuf) (n int)
}

// Validate reports the first bad field.
func (c *NetifConfig) Validate() error {
	switch {
	case c.Output == nil:
		return fmt.Errorf("stack: netif %q: Output is nil: %w", c.Name, ErrVal)
	case c.MTU != 0 && (c.MTU < 576 || c.MTU > 65535):
		return fmt.Errorf("stack: netif %q: MTU %d outside 576 … 65535: %w", c.Name, c.MTU, ErrVal)
	case c.VLAN > 4094:
		return fmt.Errorf("stack: netif %q: VLAN %d outside 0 … 4094: %w", c.Name, c.VLAN, ErrVal)
	case c.TxQueue < 0:
		return fmt.Errorf("stack: netif %q: TxQueue %d: %w", c.Name, c.TxQueue, ErrVal)
	}
	return nil
}

// maxCut is how many frames a packet may be cut into: 64 KiB in segments of 200
// bytes, or offload.MaxBig in such as fit an Ethernet.
const maxCut = 368

// txBurst is how many frames are collected before the port is called.
const txBurst = 64

// Netif is an interface of a stack (struct netif).
type Netif struct {
	s       *Stack
	index   uint8
	up      bool
	promisc bool
	vlan    uint16
	mtu     int
	mac     header.MAC
	mac48   uint64 // mac, as header.TCP4 gives it
	caps    offload.Caps
	addrs   []ifAddr
	txq     []*pbuf.Pbuf
	txMax   int
	waiting []uint32 // connections that wait for room in txq, first come first
	serving bool     // resume runs
	// plainOut: segments may leave by sendPlain: no tag, and no hook for tags
	// or options.
	plainOut bool
	output   func(ps []*pbuf.Pbuf) int
	name     string
	stats    LinkStats
	v6       netif6

	// For what the port can't cut itself.
	segmenter offload.Segmenter
	cut       [maxCut]*pbuf.Pbuf
}

// ifAddr is an address of an interface with the network it is on.
type ifAddr struct {
	addr      header.Addr
	net       prefix
	broadcast header.Addr // directed broadcast (IPv4), or zero
	defended  int64       // when another host was last told that it is ours (RFC 5227 2.4)
	prefix    netip.Prefix
}

func newNetif(s *Stack, index uint8, c NetifConfig) *Netif {
	def(&c.Name, "if")
	def(&c.MTU, 1500)
	def(&c.TxQueue, 1024)
	h := &s.hooks
	return &Netif{
		plainOut: c.VLAN == 0 && h.VLANSet == nil && h.TCPOutOptionLen == nil,
		mac48:    c.MAC.Uint64(),
		s:        s, index: index, up: true, promisc: c.Promiscuous, vlan: c.VLAN, mtu: c.MTU, mac: c.MAC,
		caps: c.Caps, txMax: max(c.TxQueue, txBurst), output: c.Output, name: c.Name,
		txq: make([]*pbuf.Pbuf, 0, max(c.TxQueue, txBurst)),
	}
}

// Name, MAC, MTU, Index (from 1, as in pbuf.Meta.Netif) and Caps of the interface.
func (nif *Netif) Name() string       { return nif.name }
func (nif *Netif) MAC() header.MAC    { return nif.mac }
func (nif *Netif) MTU() int           { return nif.mtu }
func (nif *Netif) Index() uint8       { return nif.index }
func (nif *Netif) Caps() offload.Caps { return nif.caps }
func (nif *Netif) Up() bool           { return nif.up }

// Stats are the interface's own counters.
func (nif *Netif) Stats() LinkStats { return nif.stats }

// SetUp brings the interface up or down. Frames of an interface that is down
// are dropped both ways.
func (nif *Netif) SetUp(up bool) {
	if nif.up == up {
		return
	}
	nif.up = up
	nif.s.pathGen++
	if up {
		for i := range nif.addrs {
			nif.s.arpAnnounce(nif, nif.addrs[i].addr)
		}
		nif.s.nd6Up(nif)
	} else {
		nif.discard()
		nif.s.arpFlush(nif)
		nif.s.nd6Down(nif)
	}
}

// AddAddr gives the interface an address and makes its network reachable on
// link. A gratuitous ARP announces one of IPv4 (RFC 5227 3); one of IPv6 brings a
// link-local address along, and is used once it is known that nobody else has it
// (RFC 4862 5.4, Config.IPv6.DADTransmits). ErrUse: it has it already. ErrIf: IPv6
// needs an MTU of 1280.
func (nif *Netif) AddAddr(p netip.Prefix) error {
	if validPrefix(p) && p.Addr().Is6() && !p.Addr().Is4In6() {
		return nif.addStatic6(p)
	}
	if !validPrefix(p) || !p.Addr().Is4() || p.Addr().IsMulticast() || p.Addr().IsUnspecified() {
		return ErrVal
	}
	a := ifAddr{addr: header.FromNetip(p.Addr()), net: makePrefix(p.Masked()), prefix: p}
	if nif.s.isLocal(a.addr) {
		return ErrUse
	}
	if p.Bits() < 31 { // RFC 3021: a /31 has no broadcast
		a.broadcast = header.AddrFrom4Uint(a.addr.Uint32() | ^uint32(0)>>p.Bits())
	}
	nif.addrs = append(nif.addrs, a)
	nif.s.localAdd(nif, &a)
	nif.s.arpAddrsChanged()
	nif.s.pathGen++
	if nif.up {
		nif.s.arpAnnounce(nif, a.addr)
	}
	return nil
}

// DelAddr takes an address away. Connections that use it are aborted
// (netif_set_ipaddr does the same). ErrVal: no such address.
func (nif *Netif) DelAddr(p netip.Prefix) error {
	for i := range nif.addrs {
		if nif.addrs[i].prefix == p {
			a := nif.addrs[i].addr
			nif.addrs = removeAt(nif.addrs, i)
			nif.s.localRebuild()
			nif.s.arpAddrsChanged()
			nif.s.pathGen++
			nif.s.tcpAddrGone(a)
			return nil
		}
	}
	if nif.delAddr6(p) {
		return nil
	}
	return ErrVal
}

// Addrs are the interface's addresses, those of IPv4 first, in the order they were
// added. Addrs6 says more of those of IPv6.
func (nif *Netif) Addrs() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(nif.addrs)+len(nif.v6.addrs))
	for i := range nif.addrs {
		out = append(out, nif.addrs[i].prefix)
	}
	for i := range nif.v6.addrs {
		out = append(out, nif.v6.addrs[i].prefix)
	}
	return out
}

func (nif *Netif) hasAddr(a header.Addr) bool { return nif.s.localNetif(a) == nif }

func (nif *Netif) onLink(a header.Addr) bool {
	for i := range nif.addrs {
		if nif.addrs[i].net.contains(a) {
			return true
		}
	}
	return false
}

// isBroadcast reports whether a is the limited broadcast or the directed
// broadcast of one of the interface's networks (RFC 1122 3.2.1.3).
func (nif *Netif) isBroadcast(a header.Addr) bool {
	if !a.Is4() {
		return false
	}
	if v := a.Uint32(); v == 0xffffffff || v == 0 {
		return true
	}
	if e := nif.s.locals.find(a); e == nil || !e.broadcast {
		return false
	}
	for i := range nif.addrs {
		if nif.addrs[i].broadcast == a {
			return true
		}
	}
	return false
}

// sourceFor is the source address for packets to next: the one on the same
// network, else the first of the family (RFC 1122 3.3.4.3).
func (nif *Netif) sourceFor(next header.Addr) (header.Addr, bool) {
	var first header.Addr
	for i := range nif.addrs {
		a := &nif.addrs[i]
		if a.net.contains(next) {
			return a.addr, true
		}
		if first.IsZero() && a.addr.Is4() == next.Is4() {
			first = a.addr
		}
	}
	return first, !first.IsZero()
}

// countIn counts frames that were received.
func (nif *Netif) countIn(ps []*pbuf.Pbuf) {
	frames, octets := uint64(len(ps)), uint64(0)
	for _, p := range ps {
		octets += uint64(p.TotLen())
	}
	for _, st := range [...]*LinkStats{&nif.stats, &nif.s.stats.Link} {
		st.InFrames += frames
		st.InOctets += octets
	}
}

// enqueue queues a complete frame for the port, checksums that the port does
// not do being filled in. It owns p.
func (nif *Netif) enqueue(p *pbuf.Pbuf) {
	if !nif.up {
		nif.s.drop(p, DropNetifDown)
		return
	}
	if nif.full() {
		nif.s.drop(p, DropTxQueueFull)
		return
	}
	if p.Flags&(pbuf.TxTSO|pbuf.TxUSO) != 0 && offload.MustCut(p, nif.caps) {
		nif.enqueueCut(p)
		return
	}
	if p.Flags&(pbuf.TxIPCsum|pbuf.TxTCPCsum|pbuf.TxUDPCsum) != 0 {
		offload.FinishTx(p, nif.caps)
	}
	nif.push(p)
}

// enqueueCut queues the frames that a packet is to be cut into, all or none. It
// owns p.
func (nif *Netif) enqueueCut(p *pbuf.Pbuf) {
	if p.Flags&flagRun != 0 && nif.enqueueRun(p) {
		return
	}
	n, ok := nif.segmenter.Segment(p, nif.caps, nif.cut[:])
	why := DropNoBuf
	if ok && len(nif.txq)+n > nif.txMax {
		ok, why = false, DropTxQueueFull
		for _, f := range nif.cut[:n] {
			f.Free()
		}
	}
	if !ok {
		nif.s.drop(p, why)
		return
	}
	p.Free()
	for _, f := range nif.cut[:n] {
		nif.push(f)
	}
}

// push appends a frame that is ready for the port; there is room in txq.
func (nif *Netif) push(p *pbuf.Pbuf) {
	n := uint64(p.TotLen())
	nif.stats.OutFrames++
	nif.stats.OutOctets += n
	nif.s.stats.Link.OutFrames++
	nif.s.stats.Link.OutOctets += n
	nif.txq = append(nif.txq, p)
	if len(nif.txq)%txBurst == 0 {
		nif.flush()
	}
}

// busy reports whether the port is so far behind that connections should hold
// their segments back: acknowledgements and datagrams keep half the queue.
func (nif *Netif) busy() bool { return len(nif.txq) >= nif.txMax/2 }

// Busy reports whether the port is so far behind that an application had better
// not send datagrams for now; TCP holds back by itself.
func (nif *Netif) Busy() bool { return nif.busy() }

// full reports whether the queue takes nothing more.
func (nif *Netif) full() bool { return len(nif.txq) == nif.txMax }

// holds reports whether a connection that wants to send has to wait: for the
// port, or behind those that wait already.
func (nif *Netif) holds() bool { return nif.busy() || len(nif.waiting) != 0 && !nif.serving }

// await has a connection's Output called when the port has caught up.
func (nif *Netif) await(t *TCP) {
	if t.flags&tfAwaitsPort == 0 {
		t.flags |= tfAwaitsPort
		nif.waiting = append(nif.waiting, t.id)
	}
}

// resume lets the connections that wait send again, each once.
func (nif *Netif) resume() {
	nif.serving = true
	n, i := len(nif.waiting), 0
	for ; i < n && !nif.busy(); i++ {
		t := nif.s.pcb(nif.waiting[i])
		if t.s != nil && t.flags&tfAwaitsPort != 0 {
			t.flags &^= tfAwaitsPort
			_ = t.Output() // may wait again, at the end
		}
	}
	nif.waiting = nif.waiting[:copy(nif.waiting, nif.waiting[i:])]
	nif.serving = false
}

// flush offers the queued frames to the port; what it refuses stays, in order.
func (nif *Netif) flush() {
	n := nif.output(nif.txq)
	if n == len(nif.txq) {
		nif.txq = nif.txq[:0]
		return
	}
	rest := copy(nif.txq, nif.txq[n:])
	nif.txq = nif.txq[:rest]
}

// discard drops what waits for the port.
func (nif *Netif) discard() {
	for _, p := range nif.txq {
		nif.s.drop(p, DropTxQueueFull)
	}
	nif.txq = nif.txq[:0]
}
