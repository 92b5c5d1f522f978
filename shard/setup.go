package shard

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// NewGroup makes the shards with their pools, stacks and interfaces, and
// attaches the ports, which are the group's from here on. Errors match
// ErrConfig, affinity.ErrNotAllowed, or are those of pools, ports and stacks.
// What Config.Validate finds, and cores that can't be had, leave the ports
// alone; after any other error they are closed.
func NewGroup(cfg Config) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	cfg.Ports = slices.Clone(cfg.Ports)
	cores, err := cfg.cores()
	if err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, closed: make(chan struct{})}
	if err := g.build(cores); err != nil {
		for _, s := range g.shards {
			s.stack.Close()
		}
		return nil, errors.Join(err, g.closePorts(), g.closePools())
	}
	return g, nil
}

// cores gives each shard its core, -1 for none.
func (c *Config) cores() ([]int, error) {
	if c.NoPin {
		cores := make([]int, c.Shards)
		for i := range cores {
			cores[i] = -1
		}
		return cores, nil
	}
	set := c.Cores
	if set.IsEmpty() {
		var err error
		if set, err = affinity.Allowed(); err != nil {
			return nil, err
		}
	}
	if err := set.Validate(); err != nil {
		return nil, err
	}
	if n := set.Len(); n > MaxShards {
		return nil, fmt.Errorf("%w: %d cores, over %d", ErrConfig, n, MaxShards)
	}
	return set.Cores(), nil
}

// build makes everything that NewGroup makes.
func (g *Group) build(cores []int) error {
	if g.cfg.Stack.Seed == [32]byte{} {
		rand.Read(g.cfg.Stack.Seed[:]) // never fails, it ends the program instead
	}
	for i := range g.cfg.Ports {
		g.info = append(g.info, g.cfg.Ports[i].Port.Info())
	}
	for i := range g.info {
		if g.info[i].Queues < 1 {
			return fmt.Errorf("%w: port %d (%s) has no queues", ErrConfig, i, g.info[i].Name)
		}
	}
	g.hasher = g.groupHasher()
	g.steer = make([]ring.Ref[steering], len(g.info))
	for i := range g.cfg.Ports {
		st, err := newSteering(&g.info[i], g.hasher, len(cores))
		if err != nil {
			return fmt.Errorf("%w: port %d (%s): %w", ErrConfig, i, g.info[i].Name, err)
		}
		right, asked := g.askHash(i)
		g.asked = append(g.asked, asked)
		g.steer[i].Store(st.trusting(right))
	}
	for id, core := range cores {
		s, err := g.newShard(id, core)
		if err != nil {
			return err
		}
		g.shards = append(g.shards, s)
		g.byPool[s.pool.ID()] = s
	}
	if err := g.weave(); err != nil {
		return err
	}
	for _, s := range g.shards {
		for i := range g.cfg.Ports {
			if err := s.addPort(i); err != nil {
				return fmt.Errorf("shard %d: port %d (%s): %w", s.id, i, g.info[i].Name, err)
			}
		}
	}
	for i := range g.cfg.Ports {
		if err := g.attach(i); err != nil {
			return fmt.Errorf("shard: port %d (%s): %w", i, g.info[i].Name, err)
		}
	}
	return nil
}

// groupHasher is what all stacks find connections by: with the key of the first
// port that has one, packets of that port need not be hashed again.
func (g *Group) groupHasher() *rss.Hasher {
	if h := g.cfg.Stack.Hasher; h != nil {
		return h
	}
	for i := range g.info {
		if key := g.info[i].RSS.Key; !key.IsZero() {
			return rss.NewHasher(key)
		}
	}
	return rss.NewHasher(rss.DefaultKey)
}

// newShard makes a shard with its pool and stack, without ports.
func (g *Group) newShard(id, core int) (*Shard, error) {
	s := &Shard{g: g, id: id, core: core, spin: int64(g.cfg.IdleSpin), burst: make([]*pbuf.Pbuf, g.cfg.Burst)}
	s.gro = newCoalescer(&g.cfg, g.info)
	pc := g.cfg.Pool
	if pc.Name == "" {
		pc.Name = "shard"
	}
	pc.Name = fmt.Sprintf("%s %d", pc.Name, id)
	if core >= 0 && pc.NUMANode == pbuf.AnyNode {
		node, err := affinity.NUMANode(core)
		if err != nil {
			return nil, err
		}
		pc.NUMANode = pbuf.Node(node)
	}
	var err error
	if s.pool, err = pbuf.NewPool(pc); err != nil {
		return nil, fmt.Errorf("shard %d: %w", id, err)
	}
	sc := g.cfg.Stack
	sc.Pool, sc.Hasher = s.pool, g.hasher
	// A tuple may move from shard to shard (Resteer): its secrets are the group's.
	def(&sc.FlowSecret, deriveSeed(sc.Seed, -1))
	sc.Seed = deriveSeed(sc.Seed, id)
	s.setHooks(&sc.Hooks)
	if s.stack, err = stack.New(sc); err != nil {
		return nil, errors.Join(fmt.Errorf("shard %d: %w", id, err), s.pool.Close())
	}
	return s, nil
}

// deriveSeed gives each shard secrets of its own, and the group (-1) one.
func deriveSeed(seed [32]byte, id int) [32]byte {
	return sha256.Sum256(append(append([]byte("shard"), byte(id)), seed[:]...))
}

// weave connects every shard with every other.
func (g *Group) weave() error {
	for _, s := range g.shards {
		s.lanes = make([]lane, 0, len(g.shards)-1)
		for _, peer := range g.shards {
			if peer == s {
				continue
			}
			out, err := newPair(g.cfg.MeshDepth)
			if err != nil {
				return err
			}
			s.lanes = append(s.lanes, lane{peer: peer, out: out, stage: make([]uintptr, 0, meshStage)})
		}
	}
	for _, s := range g.shards {
		for i := range s.lanes {
			peer := s.lanes[i].peer
			s.lanes[i].in = peer.lanes[peer.laneTo(s.id)].out
		}
	}
	return nil
}

// addPort makes the shard's interface on port i.
func (s *Shard) addPort(i int) error {
	g := s.g
	cfg, info := &g.cfg.Ports[i], &g.info[i]
	sp := shardPort{port: cfg.Port, index: i, steer: g.steer[i].Load(), txq: -1}
	if !g.asked[i] {
		sp.proof = proofOf(cfg, info)
	}
	for q := s.id; q < info.Queues; q += len(g.shards) {
		sp.queues = append(sp.queues, q)
	}
	if len(sp.queues) != 0 {
		sp.txq = sp.queues[0]
	} else {
		sp.via = s.id % info.Queues
	}
	sp.joins = info.Caps.Has(offload.LRO)
	sp.timed, _ = port.As[port.Timed](cfg.Port)
	name, mtu := cfg.Name, cfg.MTU
	def(&name, info.Name)
	def(&mtu, info.MTU)
	for _, a := range cfg.Addrs {
		sp.addrs = append(sp.addrs, header.FromNetip(a.Addr().Unmap()))
	}
	if len(g.shards) > 1 {
		var err error
		if sp.solver, err = newSolver(sp.steer, s.id, &g.cfg.Stack.TCP); err != nil {
			return err
		}
	}
	s.ports = append(s.ports, sp)
	nif, err := s.stack.AddNetif(stack.NetifConfig{
		Name: name, MAC: info.MAC, MTU: mtu, VLAN: cfg.VLAN, Caps: info.Caps,
		Promiscuous: cfg.Promiscuous, TxQueue: cfg.TxQueue,
		Output: func(ps []*pbuf.Pbuf) int { return s.output(&s.ports[i], ps) },
	})
	if err != nil {
		return err
	}
	s.ports[i].nif = nif
	return s.configure(nif, cfg)
}

// configure gives an interface its addresses, routes and neighbours.
func (s *Shard) configure(nif *stack.Netif, cfg *PortConfig) error {
	for _, a := range cfg.Addrs {
		if err := nif.AddAddr(a); err != nil {
			return fmt.Errorf("address %v: %w", a, err)
		}
	}
	for _, r := range cfg.Routes {
		if err := s.stack.AddRoute(r.Prefix, r.Gateway, nif); err != nil {
			return fmt.Errorf("route %v: %w", r.Prefix, err)
		}
	}
	for _, n := range cfg.Neighbors {
		if err := s.stack.AddNeighbor(nif, n.Addr, n.MAC); err != nil {
			return fmt.Errorf("neighbour %v: %w", n.Addr, err)
		}
	}
	return nil
}

// attach gives each queue of port i the pool of the shard that polls it.
func (g *Group) attach(i int) error {
	for q := range g.info[i].Queues {
		if err := g.cfg.Ports[i].Port.Attach(q, g.shards[q%len(g.shards)].pool); err != nil {
			return fmt.Errorf("queue %d: %w", q, err)
		}
	}
	return nil
}
