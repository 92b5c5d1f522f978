package shard

import (
	"errors"
	"fmt"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// sweepEvery is how often a shard looks which buckets that it has lost it has no
// more flows of, in ns. It walks all its connections.
const sweepEvery = int64(1e9)

// Table is the table of port i: entry hash mod Size is the shard that gets the
// packets of flows with that hash. Any thread.
func (g *Group) Table(i int) rss.RETA { return g.port(i).steer.Load().table }

// Resteer gives port i another table while the group runs. New flows follow it;
// those that exist stay on their shards, to which their packets are forwarded
// until they end. Outgoing connections choose their ports for the new table. The
// port is told if it can be (port.RETASetter); else packets that it delivers by
// the old table are handed over.
//
// The ports of the connections that exist are not chosen again by the new owners
// of their buckets (taken.go); until these have them, nobody chooses from the
// buckets that move, and a shard that loses all may say ErrNoPort meanwhile. Each
// shard walks all its connections once.
//
// ErrConfig: the size is not that of Table, or an entry names no shard.
// ErrBusy: buckets have moved so often, and so many shards still have flows of
// them, that packets can't be forwarded any more. ErrStopped. After an error
// nothing has changed. Any thread but the shards'.
func (g *Group) Resteer(i int, table rss.RETA) error {
	g.control.Lock()
	defer g.control.Unlock()
	return g.resteer(i, table)
}

// resteer is Resteer, under control. Every shard knows where else to look for
// flows before the first one follows the new table, so that no packet comes to
// a shard that has not heard of it.
func (g *Group) resteer(i int, table rss.RETA) error {
	if i < 0 || i >= g.numPorts() {
		return fmt.Errorf("%w: no port %d", ErrConfig, i)
	}
	old := g.Table(i)
	if table.Size() != old.Size() {
		return fmt.Errorf("%w: a table of %d entries for port %d, which has %d", ErrConfig, table.Size(), i, old.Size())
	}
	if err := table.Validate(len(g.shards)); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if table == old {
		return nil
	}
	before := make([]*steering, len(g.shards))
	gone := newDepartures(&old, &table)
	err := g.apply(func(s *Shard) error {
		sp := &s.ports[i]
		before[s.id] = sp.steer
		st, ok := sp.steer.withNext(table)
		if !ok {
			return fmt.Errorf("shard %d: %w: flows of a bucket are on %d shards already", s.id, ErrBusy, maxFormer)
		}
		sp.steer = st
		s.depart(st, gone) // no flow begins in what moves from here on
		return nil
	}, func(s *Shard) {
		s.ports[i].steer = before[s.id]
		s.watchFormer() // it may have lost what another had found out meanwhile
	})
	if err != nil {
		return err
	}
	own := g.tellPort(i, &table)
	err = g.Do(func(s *Shard) error { return s.follows(i, own, gone) })
	if err == nil { // only now can a bucket be done with
		err = g.Do(func(s *Shard) error {
			s.ports[i].steer = s.ports[i].steer.settled()
			s.watchFormer()
			return nil
		})
	}
	st := *g.port(i).steer.Load()
	st.table = table
	g.port(i).steer.Store(&st)
	return err
}

// tellPort gives a port the queues that suit a table of shards; false if the
// port goes on as before.
func (g *Group) tellPort(i int, table *rss.RETA) bool {
	p := g.port(i).cfg.Port
	set, ok := port.As[port.RETASetter](p)
	reta := p.Info().RSS.RETA
	if !ok || reta.Size() != table.Size() || g.port(i).info.RSS.Key.IsZero() {
		return false
	}
	queues, n := uint16(g.port(i).info.Queues), uint16(len(g.shards))
	entries := reta.Entries()
	for b, q := range entries {
		switch home := table.Queue(uint32(b)); {
		case queues < n:
			entries[b] = home % queues
		case q%n != home: // a shard's first queue, unless it is one of its own
			entries[b] = home
		}
	}
	next, err := rss.FromEntries(entries)
	if err == nil {
		err = set.SetRETA(next)
	}
	if err != nil {
		if !errors.Is(err, port.ErrNotSupported) && !errors.Is(err, port.ErrState) {
			g.warn(Warning{Kind: WarnTable, Shard: -1, Port: i,
				Text: fmt.Sprintf("%s: the port does not take a new table: %v", g.port(i).info.Name, err)})
		}
		return false
	}
	return true
}

// follows has the shard follow the table that it was told of. own: the port does
// so, too.
func (s *Shard) follows(i int, own bool, gone *departures) error {
	sp := &s.ports[i]
	sp.steer = sp.steer.switched()
	sp.steer.moved.taken = gone.arrivals(s.id, sp.steer.moved.taken)
	sp.ownTable = own
	return s.solve(sp)
}

// solve makes the solver of a port anew.
func (s *Shard) solve(sp *shardPort) (err error) {
	s.stack.PortsChanged()
	if sp.steer.shards > 1 {
		sp.solver, err = newSolver(sp.steer, s.id, &s.g.cfg.Stack.TCP)
	}
	return err
}

// DrainShard gives the shard's buckets of all ports to the other shards that
// have some, as Resteer does: it gets no new flows, and those that it has end in
// peace. It still polls its queues. ErrConfig: there is no such shard, or no
// other to take over. Errors of Resteer. Any thread but the shards'.
func (g *Group) DrainShard(id int) error {
	return g.reshare(id, func(table rss.RETA) ([]uint16, error) {
		entries := table.Entries()
		var others []uint16
		for s := range g.shards {
			if s != id && table.Share(uint16(s)) > 0 {
				others = append(others, uint16(s))
			}
		}
		if len(others) == 0 {
			return nil, fmt.Errorf("%w: shard %d is the last with flows", ErrConfig, id)
		}
		next := 0
		for b, s := range entries {
			if int(s) == id {
				entries[b] = others[next%len(others)]
				next++
			}
		}
		return entries, nil
	})
}

// UndrainShard gives the shard its share of the buckets of all ports back, from
// each of the others an equal part. A shard that has its share already keeps
// it. Errors as DrainShard. Any thread but the shards'.
func (g *Group) UndrainShard(id int) error {
	return g.reshare(id, func(table rss.RETA) ([]uint16, error) {
		entries := table.Entries()
		active := map[uint16]int{uint16(id): 0}
		for _, s := range entries {
			active[s]++
		}
		want := len(entries) / len(active)
		for b := 0; b < len(entries) && active[uint16(id)] < want; b++ {
			s := entries[b]
			if int(s) != id && active[s] > want {
				active[s]--
				active[uint16(id)]++
				entries[b] = uint16(id)
			}
		}
		return entries, nil
	})
}

// reshare changes the tables of all ports; if one fails, those before it are
// changed back.
func (g *Group) reshare(id int, change func(rss.RETA) ([]uint16, error)) error {
	if id < 0 || id >= len(g.shards) {
		return fmt.Errorf("%w: no shard %d", ErrConfig, id)
	}
	g.control.Lock()
	defer g.control.Unlock()
	before := make([]rss.RETA, g.numPorts())
	for i := range g.numPorts() {
		before[i] = g.Table(i)
		entries, err := change(before[i])
		var table rss.RETA
		if err == nil {
			table, err = rss.FromEntries(entries)
		}
		if err == nil {
			err = g.resteer(i, table)
		}
		if err != nil {
			for j := range i {
				err = errors.Join(err, g.resteer(j, before[j]))
			}
			return err
		}
	}
	return nil
}

// sweeper is the Poller of a shard that has lost buckets: it tells the others
// when the last flow of one has ended.
type sweeper struct {
	s   *Shard
	due int64
}

// watchFormer begins to look for buckets that are done.
func (s *Shard) watchFormer() {
	if s.sweep == nil {
		s.sweep = &sweeper{s: s}
		s.AddPoller(s.sweep)
	}
	s.sweep.due = s.now + sweepEvery
}

// Next implements Poller.
func (w *sweeper) Next() int64 { return w.due }

// Poll implements Poller.
func (w *sweeper) Poll(now int64) int {
	if now < w.due {
		return 0
	}
	w.due = now + sweepEvery
	left := false
	for i := range w.s.ports {
		left = w.s.sweepPort(i) || left
	}
	if !left {
		w.due = stack.Forever
	}
	return 1
}

// sweepPort tells all shards of which buckets of a port this one has no more
// flows, and reports whether it has lost any with flows.
func (s *Shard) sweepPort(i int) (left bool) {
	st := s.ports[i].steer
	if st.moved == nil || st.moved.fresh {
		return st.moved != nil
	}
	done, some := make([]bool, len(st.moved.former)), false
	for b, list := range st.moved.former {
		for _, id := range list {
			if int(id) == s.id {
				done[b], some = true, true
			}
		}
	}
	if !some {
		return false
	}
	s.stack.EachFlow(func(proto header.Protocol, local, remote header.Addr, lport, rport uint16) {
		f := flow{proto, local, remote, lport, rport}
		if b := st.bucket(st.hashOf(&f)); done[b] {
			done[b], left = false, true
		}
	})
	for _, peer := range s.g.shards {
		_ = peer.Do(func(p *Shard) { // ErrStopped: it has no flows any more
			sp := &p.ports[i]
			sp.steer = sp.steer.without(uint8(s.id), done, sp.ownTable)
			p.stack.PortsChanged()
		})
	}
	return left
}
