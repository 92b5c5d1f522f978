package shard

import (
	"fmt"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
)

// GROPolicy says when a shard joins the segments of a burst in software before
// its stack sees them (offload.GRO). Ports that join them already (offload.LRO)
// are left alone.
type GROPolicy uint8

const (
	// GROAuto joins as long as that makes packets fewer, and otherwise looks
	// again now and then: bulk transfers come in large packets, and requests and
	// answers, of which none continues another, don't pay for it.
	GROAuto GROPolicy = iota
	// GROAlways joins what can be joined in every burst.
	GROAlways
	// GRONever leaves packets as they came.
	GRONever
)

var groNames = [...]string{"auto", "always", "never"}

// String is "auto", "always" or "never".
func (p GROPolicy) String() string {
	if int(p) < len(groNames) {
		return groNames[p]
	}
	return "invalid"
}

// ParseGROPolicy reads what String prints; ErrConfig for anything else.
func ParseGROPolicy(s string) (GROPolicy, error) {
	for i, name := range groNames {
		if s == name {
			return GROPolicy(i), nil
		}
	}
	return 0, fmt.Errorf("%w: GRO policy %q is not auto, always or never", ErrConfig, s)
}

// What GROAuto goes by. A look at a packet costs a tenth of what the stack does
// with it, so one that is joined pays for some that are not.
const (
	groPays    = 4  // of so many frames, one has to be joined
	groLeast   = 4  // frames that a burst must have to be judged by
	groMaxWait = 64 // bursts between two looks, at most
)

// coalescer is GRO with what GROAuto has to know. It belongs to a shard.
type coalescer struct {
	gro    offload.GRO
	always bool
	skip   int // bursts that are left alone before the next look
	wait   int // how many they were the last time
}

// newCoalescer makes the one of a shard, nil if there is to be none.
func newCoalescer(cfg *Config) *coalescer {
	if cfg.GRO == GRONever {
		return nil
	}
	return &coalescer{gro: offload.GRO{UDP: cfg.GROUDP, Max: cfg.GROMax}, always: cfg.GRO == GROAlways}
}

// burst joins frames of ps, in ps itself, and returns those that are left.
func (c *coalescer) burst(ps []*pbuf.Pbuf) []*pbuf.Pbuf {
	if c.always {
		return c.gro.Burst(ps)
	}
	if len(ps) < groLeast {
		return ps
	}
	if c.skip > 0 {
		c.skip--
		return ps
	}
	out := c.gro.Burst(ps)
	if (len(ps)-len(out))*groPays >= len(ps) {
		c.wait = 0
		return out
	}
	c.wait = min(2*c.wait+1, groMaxWait)
	c.skip = c.wait
	return out
}
