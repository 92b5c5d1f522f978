package shard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"go.uber.org/atomic"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/stack"
)

// What all shards must know is replicated by message. Changes are made one after
// the other (Group.control), on all shards at once, and acknowledged together:
// when a method returns nil, every shard has the change, and all have made the
// changes so far in the same order. If one shard can't, those that could take it
// back, and nothing has changed.

// apply runs do on every shard's thread. If any fails, undo runs on those where
// it did not, and the errors are returned. Under control.
func (g *Group) apply(do func(*Shard) error, undo func(*Shard)) error {
	ok := make([]bool, len(g.shards))
	err := g.Do(func(s *Shard) error {
		if err := do(s); err != nil {
			return fmt.Errorf("shard %d: %w", s.id, err)
		}
		ok[s.id] = true
		return nil
	})
	if err == nil {
		return nil
	}
	back := g.Do(func(s *Shard) error {
		if ok[s.id] {
			undo(s)
		}
		return nil
	})
	if errors.Is(back, ErrStopped) {
		back = nil // what has stopped needs no undoing
	}
	return errors.Join(err, back)
}

// Apply changes the configuration of every shard: it runs do on each one's
// thread, all at once, and waits. If it fails on any, undo is run where it did
// not, and the errors are returned, joined. Apply, and the methods that change
// addresses, routes, neighbours, tables and listeners, exclude each other, so
// that all shards see the same order. do and undo may not call them. Any thread
// but the shards'.
func (g *Group) Apply(do func(*Shard) error, undo func(*Shard)) error {
	g.control.Lock()
	defer g.control.Unlock()
	return g.apply(do, undo)
}

// onPort is Apply for interface i. What can't be taken back is done last, once
// every shard has succeeded.
func (g *Group) onPort(i int, do func(*Shard, *stack.Netif) error, undo func(*Shard, *stack.Netif), last ...func(*Shard, *stack.Netif)) error {
	g.control.Lock()
	defer g.control.Unlock()
	if i < 0 || i >= g.numPorts() {
		return fmt.Errorf("%w: no port %d", ErrConfig, i)
	}
	err := g.apply(
		func(s *Shard) error { return do(s, s.ports[i].nif) },
		func(s *Shard) { undo(s, s.ports[i].nif) })
	for _, fn := range last {
		if err == nil {
			err = g.Do(func(s *Shard) error { fn(s, s.ports[i].nif); return nil })
		}
	}
	return err
}

// AddAddr gives interface i an address on every shard. Errors of
// stack.Netif.AddAddr. Any thread but the shards', as all methods below.
func (g *Group) AddAddr(i int, p netip.Prefix) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error { return nif.AddAddr(p) },
		func(_ *Shard, nif *stack.Netif) { _ = nif.DelAddr(p) }) // it was added just now
}

// DelAddr takes an address away from interface i; connections that use it are
// aborted. Errors of stack.Netif.DelAddr; then no connection is.
func (g *Group) DelAddr(i int, p netip.Prefix) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error {
			if !slices.Contains(nif.Addrs(), p) {
				return stack.ErrVal
			}
			return nil
		},
		func(*Shard, *stack.Netif) {},
		func(_ *Shard, nif *stack.Netif) { _ = nif.DelAddr(p) }) // it is there
}

// AddRoute adds a route that leaves by interface i; gw is not valid for a
// network on link. Errors of stack.Stack.AddRoute.
func (g *Group) AddRoute(i int, p netip.Prefix, gw netip.Addr) error {
	return g.onPort(i,
		func(s *Shard, nif *stack.Netif) error { return s.stack.AddRoute(p, gw, nif) },
		func(s *Shard, nif *stack.Netif) { _ = s.stack.DelRoute(p, nif) }) // it was added just now
}

// DelRoute removes the route for p that leaves by interface i. Errors of
// stack.Stack.DelRoute.
func (g *Group) DelRoute(i int, p netip.Prefix) error {
	gws := make([]netip.Addr, len(g.shards))
	return g.onPort(i,
		func(s *Shard, nif *stack.Netif) error {
			for _, r := range s.stack.Routes() {
				if r.Prefix == p.Masked() && r.Netif == nif {
					gws[s.id] = r.Gateway
					break // the one that DelRoute finds
				}
			}
			return s.stack.DelRoute(p, nif)
		},
		func(s *Shard, nif *stack.Netif) { _ = s.stack.AddRoute(p, gws[s.id], nif) }) // it was there just now
}

// AddNeighbor gives interface i a neighbour that needs no resolution. Errors of
// stack.Stack.AddNeighbor.
func (g *Group) AddNeighbor(i int, ip netip.Addr, mac header.MAC) error {
	before := make([]stack.Neighbor, len(g.shards))
	return g.onPort(i,
		func(s *Shard, nif *stack.Netif) error {
			before[s.id], _ = s.neighbor(nif, ip)
			return s.stack.AddNeighbor(nif, ip, mac)
		},
		func(s *Shard, nif *stack.Netif) { // these can't fail: there is an entry
			if b := before[s.id]; b.Static {
				_ = s.stack.AddNeighbor(nif, ip, b.MAC)
			} else {
				_ = s.stack.DelNeighbor(nif, ip)
			}
		})
}

// DelNeighbor forgets a neighbour of interface i, static or not, on all shards
// that know it. stack.ErrVal: none does.
func (g *Group) DelNeighbor(i int, ip netip.Addr) error {
	var known atomic.Bool
	err := g.onPort(i,
		func(s *Shard, nif *stack.Netif) error {
			if _, ok := s.neighbor(nif, ip); ok {
				known.Store(true)
				return s.stack.DelNeighbor(nif, ip)
			}
			return nil
		},
		func(*Shard, *stack.Netif) {}) // only a group that stops can fail
	if err == nil && !known.Load() {
		return fmt.Errorf("shard: neighbour %v: %w", ip, stack.ErrVal)
	}
	return err
}

// neighbor is what the shard knows of a neighbour.
func (s *Shard) neighbor(nif *stack.Netif, ip netip.Addr) (stack.Neighbor, bool) {
	for _, n := range s.stack.Neighbors() {
		if n.Netif == nif && n.Addr.WithZone("") == ip.Unmap().WithZone("") {
			return n, true
		}
	}
	return stack.Neighbor{}, false
}

// SetUp brings interface i up or down on every shard.
func (g *Group) SetUp(i int, up bool) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error { nif.SetUp(up); return nil },
		func(_ *Shard, nif *stack.Netif) { nif.SetUp(!up) })
}

// JoinGroup has interface i receive packets to an IPv6 group on every shard.
// Errors of stack.Netif.JoinGroup.
func (g *Group) JoinGroup(i int, a netip.Addr) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error { return nif.JoinGroup(a) },
		func(_ *Shard, nif *stack.Netif) { _ = nif.LeaveGroup(a) }) // it was joined just now
}

// LeaveGroup undoes one JoinGroup. Errors of stack.Netif.LeaveGroup.
func (g *Group) LeaveGroup(i int, a netip.Addr) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error { return nif.LeaveGroup(a) },
		func(_ *Shard, nif *stack.Netif) { _ = nif.JoinGroup(a) }) // it was in it just now
}

// SetAutoconfig has interface i get IPv6 addresses and routers from the link, or
// ends that. Errors of stack.Netif.SetAutoconfig.
func (g *Group) SetAutoconfig(i int, on bool) error {
	return g.onPort(i,
		func(_ *Shard, nif *stack.Netif) error { return nif.SetAutoconfig(on) },
		func(_ *Shard, nif *stack.Netif) { _ = nif.SetAutoconfig(!on) }) // it worked just now
}

// Listener is a TCP listener that every shard has a part of.
type Listener struct {
	g     *Group
	parts []*stack.TCP // by shard
}

// ListenTCP listens on every shard; accept is called on the thread of the shard
// that a connection belongs to. Errors of stack.TCP.Bind and Listen; port 0 is
// not possible, as the shards' choices would differ (stack.ErrVal).
func (g *Group) ListenTCP(local netip.AddrPort, backlog int, accept func(*Shard, *stack.TCP) error) (*Listener, error) {
	if local.Port() == 0 {
		return nil, fmt.Errorf("shard: listen on port 0: %w", stack.ErrVal)
	}
	l := &Listener{g: g, parts: make([]*stack.TCP, len(g.shards))}
	err := g.Apply(func(s *Shard) error {
		t := s.stack.NewTCP()
		if t == nil {
			return stack.ErrMem
		}
		t.SetAccept(func(_ any, pcb *stack.TCP, _ error) error { return accept(s, pcb) })
		err := t.Bind(local)
		if err == nil {
			err = t.Listen(backlog)
		}
		if err != nil {
			_ = t.Close() // CLOSED: it is freed
			return err
		}
		l.parts[s.id] = t
		return nil
	}, l.shut)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// shut closes the shard's part.
func (l *Listener) shut(s *Shard) {
	if t := l.parts[s.id]; t != nil {
		l.parts[s.id] = nil
		_ = t.Close() // LISTEN: always succeeds
	}
}

// Close closes every part; connections that were accepted stay. Later calls do
// nothing. ErrStopped: the group has closed them. Any thread but the shards'.
func (l *Listener) Close() error {
	return l.g.Apply(func(s *Shard) error { l.shut(s); return nil }, func(*Shard) {})
}
