package netem

import (
	"errors"
	"fmt"
	"time"
)

// ErrConfig says that a Config contradicts itself.
var ErrConfig = errors.New("netem: bad configuration")

// Config describes a Path. The zero value passes all frames on, at once and in
// order. Probabilities are from 0 to 1; each frame that is offered counts once.
type Config struct {
	// Seed of the random numbers.
	Seed uint64
	// Loss is the probability that a frame is lost, each on its own (Bernoulli).
	Loss float64
	// Burst loses frames in bursts, in addition to Loss.
	Burst GilbertElliott
	// Duplicate is the probability that a frame arrives twice.
	Duplicate float64
	// Corrupt is the probability that one bit of a frame, headers included,
	// arrives flipped.
	Corrupt float64
	// Reorder is the probability that a frame is held up by ReorderBy, so that
	// later ones overtake it. ReorderBy defaults to DefaultReorderBy.
	Reorder   float64
	ReorderBy time.Duration
	// Delay is how long a frame travels; Jitter is the most that is added, evenly
	// distributed, each frame on its own: frames may overtake each other.
	Delay, Jitter time.Duration
	// Rate of the line in bits per second of frame bytes (from the Ethernet header
	// to the end of the payload), at most 10^15; 0: not limited, and no queue.
	Rate uint64
	// Queue is what waits for the line. Only with Rate.
	Queue Queue
	// Limit is how many frames the path holds at most, queued and travelling;
	// more are dropped. They are buffers of a pool. Default DefaultLimit.
	Limit int
}

// GilbertElliott is a loss model of two states, good and bad, with a step for
// every frame (Gilbert 1960, Elliott 1963). The zero value loses nothing.
//
// It is in the bad state for ToBad/(ToBad+ToGood) of the frames, for 1/ToGood
// frames at a time on average.
type GilbertElliott struct {
	ToBad    float64 // probability that a frame in the good state is followed by the bad one
	ToGood   float64 // probability that a frame in the bad state is followed by the good one
	LossGood float64 // probability that a frame in the good state is lost
	LossBad  float64 // probability that a frame in the bad state is lost. Default 1 (Gilbert's simple model)
}

// QueueKind is a queue discipline.
type QueueKind uint8

// The disciplines.
const (
	DropTail QueueKind = iota // first come, first served; what does not fit is dropped
	RED                       // random early detection (Floyd, Jacobson 1993; RFC 7567 3)
	CoDel                     // controlled delay (RFC 8289)
	FQCoDel                   // CoDel for each flow, flows in turn (RFC 8290)
	numQueueKinds
)

var queueNames = [numQueueKinds]string{"drop-tail", "red", "codel", "fq-codel"}

// String names the discipline.
func (k QueueKind) String() string {
	if k < numQueueKinds {
		return queueNames[k]
	}
	return "?"
}

// Queue describes the queue in front of a line. Zero fields are their defaults.
type Queue struct {
	Kind QueueKind
	// Bytes and Packets bound what waits. Defaults DefaultQueueBytes, and no
	// bound of packets (FQCoDel: 10240, RFC 8290 4.1.2, and no bound of bytes).
	Bytes, Packets int
	// ECN has RED, CoDel and FQCoDel mark frames that say they can (RFC 3168 5)
	// instead of dropping them.
	ECN bool
	// MarkBytes has DropTail mark frames that find more than so many bytes
	// waiting (RFC 8257 3.1, DCTCP's step). Default: no marks.
	MarkBytes int
	// MinBytes and MaxBytes are RED's thresholds of the average queue. Defaults a
	// twelfth and a quarter of Bytes. MaxP is the probability of a drop at
	// MaxBytes, default 0.1; it grows to 1 at twice MaxBytes ("gentle"). The
	// average has a weight of 2^-WeightLog, default 9.
	MinBytes, MaxBytes int
	MaxP               float64
	WeightLog          int
	// Target and Interval are CoDel's. Defaults 5 ms and 100 ms (RFC 8289 4.2,
	// 4.3).
	Target, Interval time.Duration
	// Flows is how many queues FQCoDel has, Quantum how many bytes a flow may
	// send in its turn. Defaults 1024 and 1514 (RFC 8290 5.2.1, 5.2.4).
	Flows, Quantum int
}

// Defaults of Config and Queue, and limits.
const (
	DefaultReorderBy  = time.Millisecond
	DefaultLimit      = 1 << 16
	DefaultQueueBytes = 256 << 10
	maxRate           = 1e15
	maxDelay          = time.Hour
	maxQueueBytes     = 1 << 40
)

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// withDefaults fills defaults in.
func (c Config) withDefaults() Config {
	def(&c.ReorderBy, DefaultReorderBy)
	def(&c.Limit, DefaultLimit)
	def(&c.Burst.LossBad, 1)
	q := &c.Queue
	if q.Kind == FQCoDel {
		def(&q.Bytes, maxQueueBytes)
		def(&q.Packets, 10240)
	}
	def(&q.Bytes, DefaultQueueBytes)
	def(&q.Packets, 1<<30)
	def(&q.MaxBytes, max(q.Bytes/4, 1))
	def(&q.MinBytes, max(q.MaxBytes/3, 1))
	def(&q.MaxP, 0.1)
	def(&q.WeightLog, 9)
	def(&q.Target, 5*time.Millisecond)
	def(&q.Interval, 100*time.Millisecond)
	def(&q.Flows, 1024)
	def(&q.Quantum, 1514)
	return c
}

// Validate returns an error matching ErrConfig if c contradicts itself.
func (c Config) Validate() error {
	d := c.withDefaults()
	b := &d.Burst
	for _, p := range []struct {
		name string
		v    float64
	}{
		{"Loss", d.Loss}, {"Duplicate", d.Duplicate}, {"Corrupt", d.Corrupt}, {"Reorder", d.Reorder},
		{"Burst.ToBad", b.ToBad}, {"Burst.ToGood", b.ToGood}, {"Burst.LossGood", b.LossGood},
		{"Burst.LossBad", b.LossBad}, {"Queue.MaxP", d.Queue.MaxP},
	} {
		if !(p.v >= 0 && p.v <= 1) { // a NaN is neither
			return fmt.Errorf("%w: %s %v is not in [0, 1]", ErrConfig, p.name, p.v)
		}
	}
	switch {
	case min(d.Delay, d.Jitter, d.ReorderBy) < 0 || max(d.Delay, d.Jitter, d.ReorderBy) > maxDelay:
		return fmt.Errorf("%w: Delay %v, Jitter %v, ReorderBy %v: not all in [0, %v]", ErrConfig, d.Delay, d.Jitter, d.ReorderBy, maxDelay)
	case d.Rate > maxRate:
		return fmt.Errorf("%w: Rate %d", ErrConfig, d.Rate)
	case d.Limit < 1:
		return fmt.Errorf("%w: Limit %d", ErrConfig, d.Limit)
	case c.Rate == 0 && c.Queue != (Queue{}):
		return fmt.Errorf("%w: a queue without a Rate", ErrConfig)
	}
	return d.Queue.validate()
}

// validate looks at a queue with its defaults filled in.
func (q *Queue) validate() error {
	switch {
	case q.Kind >= numQueueKinds:
		return fmt.Errorf("%w: Queue.Kind %d", ErrConfig, q.Kind)
	case q.Bytes < 1 || q.Bytes > maxQueueBytes || q.Packets < 1:
		return fmt.Errorf("%w: Queue: Bytes %d, Packets %d", ErrConfig, q.Bytes, q.Packets)
	case q.MarkBytes < 0 || q.MarkBytes > 0 && q.Kind != DropTail:
		return fmt.Errorf("%w: Queue.MarkBytes %d of %v", ErrConfig, q.MarkBytes, q.Kind)
	case q.ECN && q.Kind == DropTail:
		return fmt.Errorf("%w: Queue.ECN of drop-tail: set MarkBytes", ErrConfig)
	case q.MinBytes < 0 || q.MaxBytes < q.MinBytes || q.WeightLog < 0 || q.WeightLog > 16:
		return fmt.Errorf("%w: Queue: MinBytes %d, MaxBytes %d, WeightLog %d", ErrConfig, q.MinBytes, q.MaxBytes, q.WeightLog)
	case q.Target < 0 || q.Interval < q.Target || q.Interval > maxDelay:
		return fmt.Errorf("%w: Queue: Target %v, Interval %v", ErrConfig, q.Target, q.Interval)
	case q.Flows < 1 || q.Flows > 1<<16 || q.Quantum < 1 || q.Quantum > 1<<20:
		return fmt.Errorf("%w: Queue: Flows %d, Quantum %d", ErrConfig, q.Flows, q.Quantum)
	}
	return nil
}
