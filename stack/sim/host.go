package sim

import (
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// HostConfig describes a host. The zero value is a good one.
type HostConfig struct {
	// Name for messages and captures. Default "host" and a number.
	Name string
	// Stack sets up the stack. Pool defaults to the network's, Seed to one that
	// is made of the network's seed and the number of the host.
	Stack stack.Config
}

// Host is a stack with an interface for each link that it is connected to.
type Host struct {
	eventKey
	net     *Network
	name    string
	stack   *stack.Stack
	pool    *pbuf.Pool
	missed  uint64
	ownPool bool
}

// AddHost adds a host without links.
func (n *Network) AddHost(cfg HostConfig) (*Host, error) {
	def(&cfg.Name, fmt.Sprint("host", len(n.hosts)))
	own := cfg.Stack.Pool != nil
	def(&cfg.Stack.Pool, n.pool)
	def(&cfg.Stack.Seed, n.key(len(n.hosts)))
	s, err := stack.New(cfg.Stack)
	if err != nil {
		return nil, err
	}
	s.SetNow(n.now)
	h := &Host{net: n, name: cfg.Name, stack: s, pool: cfg.Stack.Pool, ownPool: own}
	n.hosts = append(n.hosts, h)
	n.events.add(h)
	return h, nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.name }

// Stack is the host's stack.
func (h *Host) Stack() *stack.Stack { return h.stack }

// Missed is how many frames were lost because the host's own pool had no buffer
// for them.
func (h *Host) Missed() uint64 { return h.missed }

// Addr is the first address of the host's first interface; it has one.
func (h *Host) Addr() netip.Addr { return h.stack.Netifs()[0].Addrs()[0].Addr() }

// wake implements event: timers.
func (h *Host) wake(n *Network) int64 {
	h.stack.Poll(n.now)
	return h.settle()
}

// settle sends what the stack has queued, and says when it wants to run.
func (h *Host) settle() int64 {
	now := h.net.now
	h.stack.Flush(now)
	next := h.stack.NextTimeout()
	if next <= now {
		h.stack.Poll(now)
		h.stack.Flush(now)
		next = max(h.stack.NextTimeout(), now+1) // never stand still
	}
	return next
}

// attach implements Node: the link's end becomes an interface.
func (h *Host) attach(d *Half) error {
	e := &d.end
	var caps offload.Caps
	if e.LeaveSums {
		caps = offload.TxTCPCsum | offload.TxUDPCsum
	}
	nif, err := h.stack.AddNetif(stack.NetifConfig{
		Name: d.name, MAC: e.MAC, MTU: e.MTU, TxQueue: e.TxQueue, Promiscuous: e.Promiscuous, Caps: caps,
		Output: func(ps []*pbuf.Pbuf) int { return h.output(d, ps) },
	})
	if err != nil {
		return err
	}
	for _, a := range e.Addrs {
		if err := nif.AddAddr(a); err != nil {
			return fmt.Errorf("sim: address %v of %s: %w", a, d.name, err)
		}
	}
	d.nif = nif
	return nil
}

// output is the port. A frame that the stack keeps, to send it again, goes as a
// copy.
func (h *Host) output(d *Half, ps []*pbuf.Pbuf) int {
	for _, p := range ps {
		f, flags := p, p.Flags
		if h.ownPool || p.Shared() || p.Next() != nil || p.Kind() == pbuf.KindRef {
			f = copyTo(h.net.pool, p)
			p.Free()
		}
		if f == nil {
			d.noBuf++
			continue
		}
		f.Meta = pbuf.Meta{}
		if flags&(pbuf.TxTCPCsum|pbuf.TxUDPCsum) != 0 {
			f.Flags = pbuf.RxL4CsumGood | pbuf.RxL4Partial
		}
		d.send(f)
	}
	return len(ps)
}

// receive implements Node.
func (h *Host) receive(d *Half, ps []*pbuf.Pbuf) {
	if h.ownPool {
		k := 0
		for _, f := range ps {
			p := copyTo(h.pool, f)
			f.Free()
			if p == nil {
				h.missed++
				continue
			}
			ps[k] = p
			k++
		}
		ps = ps[:k]
	}
	h.stack.Input(d.nif, h.net.now, ps)
	h.net.events.move(h, h.settle())
}

// copyTo copies a packet to buffers of a pool, in one if it fits; nil if there
// are none.
func copyTo(pool *pbuf.Pool, p *pbuf.Pbuf) *pbuf.Pbuf {
	f := pool.Alloc(pbuf.LayerLink, p.TotLen(), pbuf.KindRAM)
	if f == nil {
		if f = pool.Alloc(pbuf.LayerLink, p.TotLen(), pbuf.KindPool); f == nil {
			return nil
		}
	}
	_ = p.Copy(f) // it is as long
	f.Meta = p.Meta
	return f
}
