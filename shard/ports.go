package shard

import (
	"errors"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/rss"
	"github.com/shardstack/shardstack/stack"
)

// Outgoing connections land at home: of the ephemeral ports, a shard uses those
// for which the hash of the replies leads to itself (package rss). Two shards
// never have one in common for the same remote end, so they need not agree.

// setHooks adds to a shard's hooks what a group needs.
func (s *Shard) setHooks(h *stack.Hooks) {
	h.NeighborLearned = s.onLearned(h.NeighborLearned)
	h.ND6Happened = s.onND6(h.ND6Happened)
	if h.LargeMemory == nil {
		h.LargeMemory = hugePages
	}
	if !s.g.many() {
		return
	}
	if h.TCPPort == nil {
		h.TCPPort = s.ownPort
	}
	if h.UDPPort == nil {
		h.UDPPort = s.ownPort
	}
	if h.PortTaken == nil {
		h.PortTaken = s.portTaken
	}
	if h.PingID == nil {
		h.PingID = s.ownPingID
	}
	if h.Steer == nil {
		h.Steer = s.onSteer
	}
}

// many reports whether the group has, or will have, more than one shard.
func (g *Group) many() bool { return g.size > 1 }

// portRange is the range of ephemeral ports.
func portRange(cfg *stack.TCPConfig) (lo, hi uint16) {
	lo, hi = cfg.PortMin, cfg.PortMax
	def(&lo, 32768)
	def(&hi, 65535)
	return lo, hi
}

// newSolver makes the solver for the ephemeral ports of shard id; nil if none
// leads to it.
func newSolver(st *steering, id int, cfg *stack.TCPConfig) (*rss.Solver, error) {
	lo, hi := portRange(cfg)
	v, err := rss.NewSolver(st.hasher, st.table, uint16(id), lo, hi)
	if errors.Is(err, rss.ErrNoPort) {
		return nil, nil
	}
	return v, err
}

// ownPort is the hook that chooses ephemeral ports: of those that lead packets
// from remote:rport to this shard, each once, from number start on; 0 after the
// last.
func (s *Shard) ownPort(local, remote header.Addr, rport uint16, start, attempt uint32) uint16 {
	i := s.portFor(local)
	if i >= len(s.ports) || s.ports[i].solver == nil {
		return 0
	}
	ports := s.ports[i].solver.Ports(remote.Unzoned(), local.Unzoned(), rport)
	if n := ports.Count(); attempt < n {
		return ports.Port(start%n + attempt)
	}
	return 0
}

// ownPingID is the hook that makes a ping's identifier one whose replies come
// to this shard (see homeICMP): the next below id, or above where there is none.
func (s *Shard) ownPingID(id uint16) uint16 {
	n := len(s.g.shards)
	own := int(id) - int(id)%n + s.id
	if own > int(id) && own >= n {
		own -= n
	}
	return uint16(own)
}

// portFor is the index of the port that an address of ours is on.
func (s *Shard) portFor(local header.Addr) int {
	if i := s.g.portOf(local); i >= 0 {
		return i
	}
	return max(s.portOfLate(local), 0)
}

// portOfLate is portOf for an address that was not configured but added later.
func (s *Shard) portOfLate(local header.Addr) int {
	if nif := s.stack.NetifOf(local); nif != nil && int(nif.Index()) <= len(s.ports) {
		return int(nif.Index()) - 1
	}
	return -1
}

// portOf is the index of the port that was configured with a local address, -1
// if none was. With one port there is no question. Any thread.
func (g *Group) portOf(local header.Addr) int {
	list := *g.ports.Load()
	if len(list) == 1 {
		return 0
	}
	for i, gp := range list {
		for _, a := range gp.addrs {
			if a == local {
				return i
			}
		}
	}
	return -1
}
