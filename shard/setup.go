package shard

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
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
	g.size = len(cores)
	list := make([]*groupPort, len(g.cfg.Ports))
	for i := range list {
		list[i] = newGroupPort(&g.cfg.Ports[i])
	}
	g.ports.Store(&list)
	g.hasher = g.groupHasher()
	for i := range list {
		if err := g.firstSteering(i); err != nil {
			return err
		}
	}
	for id, core := range cores {
		s, err := g.newShard(id, core, len(cores))
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
		for i := range g.numPorts() {
			if err := s.addPort(i); err != nil {
				return fmt.Errorf("shard %d: port %d (%s): %w", s.id, i, g.port(i).info.Name, err)
			}
		}
	}
	for i := range g.numPorts() {
		if err := g.attach(i); err != nil {
			return fmt.Errorf("shard: port %d (%s): %w", i, g.port(i).info.Name, err)
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
	for i := range g.numPorts() {
		if key := g.port(i).info.RSS.Key; !key.IsZero() {
			return rss.NewHasher(key)
		}
	}
	return rss.NewHasher(rss.DefaultKey)
}

// stackHasher is what the stacks find connections by; nil, a hash of their own, if
// there is but one, no port hashes, and the user has none.
func (g *Group) stackHasher() *rss.Hasher {
	hashed := g.many() || g.cfg.Stack.Hasher != nil
	for i := range g.numPorts() {
		info := &g.port(i).info
		hashed = hashed || !info.RSS.Key.IsZero() || info.Caps.Has(offload.RSSHash)
	}
	if !hashed {
		return nil
	}
	return g.hasher
}

// newShard makes one of so many shards, with its pool and stack, without ports.
func (g *Group) newShard(id, core, shards int) (*Shard, error) {
	s := &Shard{g: g, id: id, core: core, spin: int64(g.cfg.IdleSpin), burst: make([]*pbuf.Pbuf, g.cfg.Burst)}
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
	if s.pool, err = g.newPool(pc, id, shards); err != nil {
		return nil, fmt.Errorf("shard %d: %w", id, err)
	}
	sc := g.cfg.Stack
	sc.Pool, sc.Hasher = s.pool, g.stackHasher()
	// A tuple may move from shard to shard (Resteer): its secrets are the group's.
	def(&sc.FlowSecret, deriveSeed(sc.Seed, -1))
	sc.Seed = deriveSeed(sc.Seed, id)
	sc.IPv6.Follower = sc.IPv6.Follower || id != 0
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
	cfg, info := &g.port(i).cfg, &g.port(i).info
	sp := shardPort{port: cfg.Port, index: i, steer: g.port(i).steer.Load(), txq: -1}
	if !g.port(i).asked {
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
	if sp.joins = info.Caps.Has(offload.LRO); !sp.joins && s.gro == nil {
		s.gro = newCoalescer(&g.cfg)
	}
	sp.timed, _ = port.As[port.Timed](cfg.Port)
	name, mtu := cfg.Name, cfg.MTU
	def(&name, info.Name)
	def(&mtu, info.MTU)
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
	if cfg.Autoconf {
		if err := nif.SetAutoconfig(true); err != nil {
			return fmt.Errorf("autoconfiguration: %w", err)
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
	for q := range g.port(i).info.Queues {
		if err := g.port(i).cfg.Port.Attach(q, g.shards[q%len(g.shards)].pool); err != nil {
			return fmt.Errorf("queue %d: %w", q, err)
		}
	}
	return nil
}
