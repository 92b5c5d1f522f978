package stack

import "math/rand/v2"

// rng is the stack's source of choices that need not be secret: jitter, IP
// ids. It is seeded from Config.Seed, so a simulation repeats itself.
type rng struct{ pcg rand.PCG }

func (r *rng) seed(a, b uint64) { r.pcg.Seed(a, b) }

func (r *rng) uint32() uint32 { return uint32(r.pcg.Uint64() >> 32) }

// below returns a number in [0, n); n > 0.
func (r *rng) below(n uint32) uint32 { return uint32(uint64(r.uint32()) * uint64(n) >> 32) }
