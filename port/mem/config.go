package mem

import (
	"fmt"
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// Config describes a wire. The zero Config is a wire between two ends with one
// queue each, without impairments.
type Config struct {
	A, B       EndConfig
	AtoB, BtoA Impairment
	// Pause makes a receiver without a free buffer hold the sender up (IEEE
	// 802.3 annex 31B) instead of losing the frame: TxBurst then takes fewer
	// frames than it is offered. As with cards, one queue that is full holds up
	// all that a sender sends. No effect on a direction with an Impairment.
	Pause bool
	// HandOver is how many frames of a sending pool may be in the hands of a
	// receiving one by reference, 0 to MaxHandOver; 0 = all are copied. See the
	// package comment.
	HandOver int
}

// Defaults of EndConfig and Impairment.
const (
	DefaultMTU        = 1500
	DefaultRETASize   = 128
	DefaultQueueLen   = 1024
	DefaultQueueBytes = 256 << 10
	DefaultLimit      = 4096
	DefaultReorderBy  = time.Millisecond
)

// Limits of the configuration.
const (
	MinMTU    = header.IPv4MinMTU      // RFC 791 3.2
	MaxMTU    = header.IPv6Len + 65535 // the longest packets of both families
	MaxQueues = 128
	// MaxHandOver bounds Config.HandOver.
	MaxHandOver = 1 << 16

	maxQueueLen   = 1 << 16
	maxQueueBytes = 1 << 30
	maxLimit      = 1 << 24
	linkHeader    = header.EthernetLen + 2*header.VLANLen
)

// capsAllowed are the offloads that the wire knows how to honour.
const capsAllowed = offload.TxCsum | offload.RxCsum | offload.MultiSeg | offload.RSSHash | offload.RxTime |
	offload.TSO | offload.USO | offload.LRO | offload.UDPLRO | offload.BigTCP

// EndConfig describes one end of a wire.
type EndConfig struct {
	// Name for messages. Default "a" or "b".
	Name string
	// MAC that Info reports. Default 02:00:00:00:00:0a or …:0b.
	MAC header.MAC
	// Queues, 1 to MaxQueues. Default 1.
	Queues int
	// MTU of IP packets in bytes, MinMTU to MaxMTU. Longer frames are neither
	// sent nor received; two VLAN tags come on top. Default DefaultMTU.
	MTU int
	// Caps the end claims, of TxCsum, RxCsum, TSO, USO, LRO, UDPLRO, BigTCP,
	// RSSHash, RxTime (see the package comment) and MultiSeg, which it has anyway.
	// TSO goes with TxTCPCsum, USO with TxUDPCsum, LRO and UDPLRO with RxCsum,
	// BigTCP with TSO.
	// Default none.
	Caps offload.Caps
	// RSSKey, for more than one queue or RSSHash. Default rss.DefaultKey.
	RSSKey rss.Key
	// RETASize: 64, 128, 256 or 512 entries. Default DefaultRETASize.
	RETASize int
	// QueueLen is how many buffers each queue posts, for all senders together.
	// It is a bound on what can be under way to the queue, and of memory; BigTCP
	// needs a few hundred, as a packet must fit, cut or whole. No
	// more than half of the standard buffers are posted that the pool has free
	// at Attach. Default DefaultQueueLen.
	QueueLen int
}

// Impairment describes what one direction does to frames. The zero value
// delivers all of them, at once and in order. Probabilities are from 0 to 1.
//
// A frame is first lost or not, then duplicated; each copy then queues for the
// line (Rate), travels (Delay, Jitter, Reorder) and may be corrupted.
type Impairment struct {
	// Seed of the direction's random numbers. Each sending queue has its own
	// sequence, made from Seed and the queue's number.
	Seed uint64
	// Loss is the probability that a frame is lost.
	Loss float64
	// Duplicate is the probability that a frame arrives twice.
	Duplicate float64
	// Corrupt is the probability that one bit of a frame, headers included,
	// arrives flipped.
	Corrupt float64
	// Reorder is the probability that a frame is held up by ReorderBy, so that
	// others overtake it. ReorderBy defaults to DefaultReorderBy.
	Reorder   float64
	ReorderBy time.Duration
	// Delay is how long a frame travels; Jitter is the most that is added,
	// evenly distributed, each frame on its own: frames may overtake.
	Delay, Jitter time.Duration
	// Rate of the line in bits per second of frame bytes; 0 = not limited. With
	// several sending queues each has its even share, as queues have no lock.
	Rate uint64
	// QueueBytes may wait for the line; frames beyond are dropped. Divided among
	// sending queues as Rate is. Only with Rate. Default DefaultQueueBytes.
	QueueBytes int
	// Limit is how many delayed frames a receiving queue holds at most; more
	// are dropped. They are buffers of the receiver's pool. Default
	// DefaultLimit.
	Limit int
}

// timed reports whether frames can arrive later than they are sent.
func (im *Impairment) timed() bool {
	return im.Delay > 0 || im.Jitter > 0 || im.Reorder > 0 || im.Rate > 0
}

// impaired reports whether there is anything to do for a frame.
func (im *Impairment) impaired() bool {
	return im.timed() || im.Loss > 0 || im.Duplicate > 0 || im.Corrupt > 0
}

// Validate returns an error that matches port.ErrConfig if c contradicts itself.
func (c Config) Validate() error {
	if c.HandOver < 0 || c.HandOver > MaxHandOver {
		return fmt.Errorf("%w: mem: HandOver %d is not in [0, %d]", port.ErrConfig, c.HandOver, MaxHandOver)
	}
	for _, e := range []struct {
		name string
		cfg  EndConfig
	}{{"A", c.A}, {"B", c.B}} {
		if err := e.cfg.validate(); err != nil {
			return fmt.Errorf("%w: mem: end %s: %w", port.ErrConfig, e.name, err)
		}
	}
	for _, d := range []struct {
		name string
		cfg  Impairment
	}{{"AtoB", c.AtoB}, {"BtoA", c.BtoA}} {
		if err := d.cfg.validate(); err != nil {
			return fmt.Errorf("%w: mem: %s: %w", port.ErrConfig, d.name, err)
		}
	}
	return nil
}

func (c EndConfig) validate() error {
	c = c.withDefaults(0)
	switch {
	case c.Queues < 1 || c.Queues > MaxQueues:
		return fmt.Errorf("%d queues, not 1 to %d", c.Queues, MaxQueues)
	case c.MTU < MinMTU || c.MTU > MaxMTU:
		return fmt.Errorf("MTU %d is not in [%d, %d]", c.MTU, MinMTU, MaxMTU)
	case c.Caps&^capsAllowed != 0:
		return fmt.Errorf("a wire has no %v", c.Caps&^capsAllowed)
	case c.Caps&offload.TSO != 0 && !c.Caps.Has(offload.TxTCPCsum), c.Caps.Has(offload.USO) && !c.Caps.Has(offload.TxUDPCsum):
		return fmt.Errorf("%v without checksums", c.Caps)
	case c.Caps.Has(offload.BigTCP) && c.Caps&offload.TSO == 0:
		return fmt.Errorf("%v without TSO", c.Caps)
	case c.Caps&(offload.LRO|offload.UDPLRO) != 0 && !c.Caps.Has(offload.RxCsum):
		return fmt.Errorf("%v without RxCsum: of a joined packet there is no checksum to verify", c.Caps)
	case c.QueueLen < 1 || c.QueueLen > maxQueueLen:
		return fmt.Errorf("QueueLen %d is not in [1, %d]", c.QueueLen, maxQueueLen)
	case c.MAC.IsMulticast():
		return fmt.Errorf("MAC %v is a group's", c.MAC)
	}
	_, err := rss.NewRETA(c.RETASize, c.Queues)
	return err
}

// withDefaults returns c with its defaults filled in; side is 0 for A, 1 for B.
func (c EndConfig) withDefaults(side int) EndConfig {
	if c.Name == "" {
		c.Name = [2]string{"a", "b"}[side]
	}
	if c.MAC.IsZero() {
		c.MAC = header.MAC{2, 0, 0, 0, 0, byte(0xa + side)}
	}
	if c.RSSKey.IsZero() {
		c.RSSKey = rss.DefaultKey
	}
	c.Queues = or(c.Queues, 1)
	c.MTU = or(c.MTU, DefaultMTU)
	c.RETASize = or(c.RETASize, DefaultRETASize)
	c.QueueLen = or(c.QueueLen, DefaultQueueLen)
	c.Caps |= offload.MultiSeg
	return c
}

func (im Impairment) validate() error {
	for _, p := range []struct {
		name string
		v    float64
	}{{"Loss", im.Loss}, {"Duplicate", im.Duplicate}, {"Corrupt", im.Corrupt}, {"Reorder", im.Reorder}} {
		if !(p.v >= 0 && p.v <= 1) {
			return fmt.Errorf("%s %v is not a probability", p.name, p.v)
		}
	}
	switch {
	case im.Delay < 0 || im.Jitter < 0 || im.ReorderBy < 0:
		return fmt.Errorf("a negative time: Delay %v, Jitter %v, ReorderBy %v", im.Delay, im.Jitter, im.ReorderBy)
	case im.ReorderBy > 0 && im.Reorder == 0:
		return fmt.Errorf("ReorderBy without Reorder")
	case im.QueueBytes < 0 || im.QueueBytes > maxQueueBytes:
		return fmt.Errorf("QueueBytes %d is not in [0, %d]", im.QueueBytes, maxQueueBytes)
	case im.QueueBytes > 0 && im.Rate == 0:
		return fmt.Errorf("QueueBytes without Rate")
	case im.Limit < 0 || im.Limit > maxLimit:
		return fmt.Errorf("a Limit of %d is not in [0, %d]", im.Limit, maxLimit)
	case im.Limit > 0 && !im.timed():
		return fmt.Errorf("a Limit and nothing that delays")
	}
	return nil
}

func (im Impairment) withDefaults() Impairment {
	im.QueueBytes = or(im.QueueBytes, DefaultQueueBytes)
	im.Limit = or(im.Limit, DefaultLimit)
	im.ReorderBy = or(im.ReorderBy, DefaultReorderBy)
	return im
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
