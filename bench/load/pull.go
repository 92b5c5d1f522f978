package load

import "github.com/shardstack/shardstack/stack"

// NewPull makes a client whose connections are opened as those of NewIdle, send
// Size bytes each by pull transmit (stack.TCP.Pull), from one block for all of
// them, and are then kept: sending connections that wait for more to send. An
// operation is a connection opened.
func NewPull(s *stack.Stack, cfg Config) *Idle {
	cfg.setDefaults(16 << 10)
	c := &Idle{base: newBase(s, cfg), block: patternOf(cfg.Size)}
	c.source = c.pull
	return c
}

// pull gives a connection what it has not sent of the block.
func (c *Idle) pull(_ any, _ *stack.TCP, off uint64, b []byte) int {
	if off >= uint64(len(c.block)) {
		return 0
	}
	return copy(b, c.block[off:])
}

func (c *Idle) sent(_ any, _ *stack.TCP, n int) error {
	c.n.BytesOut += uint64(n)
	return nil
}
