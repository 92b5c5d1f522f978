// Package netem models what a network does to frames: random loss, single and
// in bursts, duplication, corruption, reordering, delay with jitter, a line of
// limited rate, and the queue in front of it with its discipline (drop-tail,
// RED, CoDel, FQ-CoDel) and ECN marks.
//
// A [Path] is one direction. It takes frames and gives them back when they have
// arrived; time is an argument, and randomness comes from a seed, so that the
// same frames at the same times have the same fate. stack/sim makes its links of
// it, for simulated time; port/impair puts it between a device and a stack, for
// real time.
//
//	frame → lost? → doubled? → [queue → line of Rate] → Delay, Jitter, Reorder → corrupted? → arrives
//
// A Path belongs to one thread, which is that of the frames' pool. Once its
// rings have grown to what is under way it allocates nothing.
package netem
