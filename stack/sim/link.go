package sim

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Node is what a link can end at: a Host, a Switch or a Station.
type Node interface {
	// Name is the node's, for messages and captures.
	Name() string
	// attach makes d's end known, before frames come.
	attach(d *Half) error
	// receive takes frames that have arrived at d's end. It owns them, not ps.
	receive(d *Half, ps []*pbuf.Pbuf)
}

// LinkConfig describes a link between two nodes.
type LinkConfig struct {
	// A and B are the ends.
	A, B End
	// AB and BA say what the two directions do to frames. A zero Seed is the
	// network's; each direction has random numbers of its own.
	AB, BA netem.Config
	// FilterAB and FilterBA see every frame first, at the time it is sent; false
	// loses it. They may change the frame, which stays the link's. Default: none.
	FilterAB, FilterBA func(now int64, f *pbuf.Pbuf) bool
}

// End is one end of a link. All but Node is for hosts: their interface.
type End struct {
	Node Node
	// Addrs are the interface's addresses.
	Addrs []netip.Prefix
	// MAC defaults to one of the network's, 02:00:5e:… and a number.
	MAC header.MAC
	// MTU and TxQueue are stack.NetifConfig's.
	MTU, TxQueue int
	// Promiscuous is stack.NetifConfig's.
	Promiscuous bool
	// LeaveSums has TCP and UDP checksums left to the wire, which makes none: as
	// on links within a machine, the receiver is told that they are good, unless
	// the frame was damaged. It saves time; captures show unfinished checksums.
	LeaveSums bool
}

// Link is two directions between two nodes.
type Link struct {
	net     *Network
	ab, ba  *Half
	down    bool
	capture *Capture
}

// Half is one end of a link, and the direction that leaves it.
type Half struct {
	eventKey
	link   *Link
	net    *Network
	name   string
	node   Node // that of this end
	end    End
	nif    *stack.Netif
	port   int // a switch's
	path   *netem.Path
	peer   *Half
	filter func(now int64, f *pbuf.Pbuf) bool
	cut    uint64
	noBuf  uint64
}

// Connect makes a link. Hosts get an interface for it.
func (n *Network) Connect(cfg LinkConfig) (*Link, error) {
	if cfg.A.Node == nil || cfg.B.Node == nil {
		return nil, bad("a link without a node at its end")
	}
	l := &Link{net: n}
	half := func(e End, other Node, c netem.Config, filter func(int64, *pbuf.Pbuf) bool) (*Half, error) {
		n.macs++
		def(&e.MAC, header.MAC{2, 0, 0x5e, byte(n.macs >> 16), byte(n.macs >> 8), byte(n.macs)})
		def(&c.Seed, n.seed)
		p, err := netem.New(c, uint64(n.macs))
		if err != nil {
			return nil, err
		}
		return &Half{link: l, net: n, name: e.Node.Name() + "-" + other.Name(), node: e.Node, end: e, path: p, filter: filter}, nil
	}
	var err error
	if l.ab, err = half(cfg.A, cfg.B.Node, cfg.AB, cfg.FilterAB); err != nil {
		return nil, err
	}
	if l.ba, err = half(cfg.B, cfg.A.Node, cfg.BA, cfg.FilterBA); err != nil {
		return nil, err
	}
	l.ab.peer, l.ba.peer = l.ba, l.ab
	n.links = append(n.links, l)
	n.events.add(l.ab)
	n.events.add(l.ba)
	for _, d := range []*Half{l.ab, l.ba} {
		if err := d.node.attach(d); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// A and B are the link's ends.
func (l *Link) A() *Half { return l.ab }
func (l *Link) B() *Half { return l.ba }

// SetDown pulls the link's plug: frames that are sent from now on are lost.
func (l *Link) SetDown(down bool) { l.down = down }

func (l *Link) close() {
	l.ab.path.Close()
	l.ba.path.Close()
}

// Stats count the frames that were sent from this end.
func (d *Half) Stats() netem.Stats { return d.path.Stats() }

// Queued is how many bytes wait to be sent from this end.
func (d *Half) Queued() int { return d.path.Queued() }

// Cut is how many frames were lost because a filter or SetDown said so.
func (d *Half) Cut() uint64 { return d.cut }

// Netif is the interface that a host has at this end; nil for other nodes.
func (d *Half) Netif() *stack.Netif { return d.nif }

// MAC is the end's address.
func (d *Half) MAC() header.MAC { return d.end.MAC }

// send puts a frame of the network's pool on the link. It owns f.
func (d *Half) send(f *pbuf.Pbuf) {
	now := d.net.now
	if c := d.link.capture; c != nil {
		c.record(d, f, true)
	}
	if d.link.down || d.filter != nil && !d.filter(now, f) {
		d.cut++
		f.Free()
		return
	}
	d.path.Send(now, f)
	d.net.events.move(d, d.path.Next())
}

// wake implements event: frames arrive at the other end.
func (d *Half) wake(n *Network) int64 {
	for {
		ps := n.burst[:d.path.Receive(n.now, n.burst)]
		if len(ps) == 0 {
			return d.path.Next()
		}
		if c := d.link.capture; c != nil {
			for _, f := range ps {
				c.record(d.peer, f, false)
			}
		}
		d.peer.node.receive(d.peer, ps)
	}
}
