package shard

import (
	"errors"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// newPool makes the pool of shard id of so many. The first port whose device
// wants its own memory for frames supplies it (see port.PoolBacker).
func (g *Group) newPool(cfg pbuf.Config, id, shards int) (*pbuf.Pool, error) {
	given := cfg.Backing
	for i := range g.numPorts() {
		gp := g.port(i)
		b, ok := port.As[port.PoolBacker](gp.cfg.Port)
		queues := queuesOf(gp.info.Queues, id, shards)
		if !ok || queues == 0 {
			continue
		}
		var err error
		if cfg, err = b.BackPool(cfg, queues); err != nil {
			return nil, err
		}
		break
	}
	pool, err := pbuf.NewPool(cfg)
	if err != nil {
		return nil, errors.Join(err, closeBackings(&cfg, &given))
	}
	return pool, nil
}

// queuesOf is how many of a port's queues shard id of so many polls.
func queuesOf(queues, id, shards int) int { return max(queues-id+shards-1, 0) / shards }

// closeBackings closes those of a pool that was never made; what was given to
// us is the giver's.
func closeBackings(cfg *pbuf.Config, given *[pbuf.NumClasses]pbuf.Backing) error {
	var errs []error
	for c, b := range cfg.Backing {
		if bc, ok := b.(pbuf.BackingCloser); ok && given[c] == nil {
			errs = append(errs, bc.Close())
		}
	}
	return errors.Join(errs...)
}
