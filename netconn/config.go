package netconn

import (
	"fmt"
	"math/bits"
	"net"
	"time"

	"github.com/shardstack/shardstack/pbuf"
)

// Defaults of Config.
const (
	DefaultBuffers      = 8192
	DefaultRing         = 4096
	DefaultSpin         = 30 * time.Microsecond
	DefaultBacklog      = 1024
	DefaultDatagrams    = 512
	DefaultLinger       = time.Minute
	DefaultCloseTimeout = 10 * time.Second
)

// Config describes a Net. The zero value of each field is its documented
// default.
type Config struct {
	// Pool describes the pool, one a shard, of the buffers that hold what was
	// written until it is acknowledged. It bounds what all connections of a
	// shard together may have on their way. Default: DefaultBuffers small and
	// as many standard buffers, no jumbo ones. Memory is taken as it is used.
	Pool pbuf.Config
	// Ring is how many requests, and how many events, may wait between
	// goroutines and a shard: a power of two. Default DefaultRing.
	Ring int
	// Spin is how long a goroutine with nothing to read polls before it sleeps.
	// No more goroutines spin than there are cores beside the shards' threads, and
	// none for a shard without a thread. Default DefaultSpin; negative: never.
	Spin time.Duration
	// Backlog is how many connections may wait for Accept on each shard, those
	// that are being opened included. Default DefaultBacklog.
	Backlog int
	// Datagrams is how many may wait to be read from a UDP socket on each
	// shard; more are dropped. Default DefaultDatagrams.
	Datagrams int
	// Linger is how long a closed connection goes on sending what was written
	// without the peer acknowledging any of it, before it is reset. Default
	// DefaultLinger.
	Linger time.Duration
	// CloseTimeout is how long Net.Close waits for buffers that a shard's port
	// or neighbour cache holds. Default DefaultCloseTimeout.
	CloseTimeout time.Duration
	// Resolver looks up host names. Default nil: addresses must be IP addresses.
	Resolver *net.Resolver
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) setDefaults() {
	def(&c.Pool.Small, DefaultBuffers)
	def(&c.Pool.Buffers, DefaultBuffers)
	def(&c.Pool.Jumbo, -1)
	def(&c.Pool.Name, "netconn")
	def(&c.Ring, DefaultRing)
	def(&c.Spin, DefaultSpin)
	def(&c.Backlog, DefaultBacklog)
	def(&c.Datagrams, DefaultDatagrams)
	def(&c.Linger, DefaultLinger)
	def(&c.CloseTimeout, DefaultCloseTimeout)
}

// Validate reports the first contradiction in c as an error that matches
// ErrConfig.
func (c *Config) Validate() error {
	d := *c
	d.setDefaults()
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, a...)...)
	}
	switch {
	case d.Ring < 64 || d.Ring > 1<<20 || bits.OnesCount(uint(d.Ring)) != 1:
		return bad("Ring %d is no power of two from 64 to 2^20", d.Ring)
	case d.Backlog < 1:
		return bad("Backlog %d", d.Backlog)
	case d.Datagrams < 1:
		return bad("Datagrams %d", d.Datagrams)
	case d.Linger < 0:
		return bad("Linger %v", d.Linger)
	case d.CloseTimeout < 0:
		return bad("CloseTimeout %v", d.CloseTimeout)
	case d.Pool.Buffers < 0:
		return bad("Pool has no standard buffers")
	}
	if err := d.Pool.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}
