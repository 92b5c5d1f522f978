package mem

import (
	"fmt"
	"sync"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/ring"
	"github.com/shardstack/shardstack/rss"
)

// End is one end of a wire: a port. It also has the optional interfaces
// port.RETASetter, port.KeySetter, port.HashProber, port.Timed and
// port.Notifier.
type End struct {
	cfg      EndConfig
	maxFrame int
	rss      port.RSS           // zero without RSS
	reta     ring.Ref[rss.RETA] // that of rss, for senders
	hasher   *rss.Hasher        // nil without RSS
	rxFlags  pbuf.Flags         // of each undamaged frame that arrives here
	limit    int                // delayed frames a queue holds; 0 = frames are not delayed
	queues   []*queue
	peer     *End
	state    ring.State[endState]
	wire     *wire
}

// wire is what the ends share. mu serialises Attach, Start, Close and the
// setters of both; frames flow without it.
type wire struct {
	mu       sync.Mutex
	handOver int // Config.HandOver
}

// endState says where in its life an end is.
type endState uint32

const (
	endNew endState = iota
	endStarted
	endClosed
)

var (
	_ port.Port       = (*End)(nil)
	_ port.Timed      = (*End)(nil)
	_ port.Notifier   = (*End)(nil)
	_ port.RETASetter = (*End)(nil)
	_ port.KeySetter  = (*End)(nil)
	_ port.HashProber = (*End)(nil)
)

// New makes a wire and returns its ends. Errors match port.ErrConfig.
//
// Frames flow when both ends are started. An end may be closed while the other
// one is in use: what that sends is then dropped, as the link is down.
func New(cfg Config) (a, b *End, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	w := &wire{handOver: cfg.HandOver}
	a = newEnd(cfg.A.withDefaults(0), cfg.BtoA, w)
	b = newEnd(cfg.B.withDefaults(1), cfg.AtoB, w)
	a.peer, b.peer = b, a
	a.connect(cfg.AtoB, 0, cfg.Pause)
	b.connect(cfg.BtoA, 1, cfg.Pause)
	return a, b, nil
}

// newEnd makes an end at which frames arrive with the impairment in.
func newEnd(cfg EndConfig, in Impairment, w *wire) *End {
	e := &End{cfg: cfg, wire: w, maxFrame: cfg.MTU + linkHeader}
	if cfg.Queues > 1 || cfg.Caps.Has(offload.RSSHash) {
		e.rss.Key = cfg.RSSKey
		e.rss.RETA, _ = rss.NewRETA(cfg.RETASize, cfg.Queues) // checked by Validate
		e.hasher = rss.NewHasher(cfg.RSSKey)
		reta := e.rss.RETA
		e.reta.Store(&reta)
	}
	if cfg.Caps.Has(offload.RxCsum) {
		e.rxFlags |= pbuf.RxIPCsumGood | pbuf.RxL4CsumGood
	}
	if cfg.Caps.Has(offload.RxTime) {
		e.rxFlags |= pbuf.RxTime
	}
	if in.timed() {
		e.limit = in.withDefaults().Limit
	}
	e.queues = make([]*queue, cfg.Queues)
	for i := range e.queues {
		e.queues[i] = newQueue(e, i)
	}
	return e
}

// connect makes the links from e to its peer, with the impairment out.
func (e *End) connect(out Impairment, direction uint64, pause bool) {
	for i, q := range e.queues {
		q.to = make([]*txLink, len(e.peer.queues))
		for j, r := range e.peer.queues {
			q.to[j] = &txLink{to: r}
		}
		if out.impaired() {
			q.impair = newImpairer(out, direction<<32|uint64(i), len(e.queues))
		}
		// Left to the receiver if it vouches for the wire anyway.
		if !e.peer.cfg.Caps.Has(offload.RxCsum) || out.Corrupt > 0 {
			q.finish = csumFlags
		}
		if q.big = newBigSender(e.cfg.Caps, e.peer.cfg.Caps, q.impair == nil, q.finish); q.big != nil {
			q.finish |= cutFlags
		}
		q.plain = e.peer.hasher == nil && q.impair == nil
		q.pause = pause && q.impair == nil
		q.span = uint(min(e.maxFrame, e.peer.maxFrame) - minFrame)
	}
}

// Info describes the end. RSS is zero without RSS.
func (e *End) Info() port.Info {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	return port.Info{
		Name: e.cfg.Name, Queues: e.cfg.Queues, MTU: e.cfg.MTU, MAC: e.cfg.MAC,
		Caps: e.cfg.Caps, RSS: e.rss,
	}
}

// Link is up when both ends are started and none is closed.
func (e *End) Link() port.LinkState {
	return port.LinkState{Up: e.state.Load() == endStarted && e.peer.state.Load() == endStarted}
}

// queue checks a queue's number.
func (e *End) queue(q int) (*queue, error) {
	if q < 0 || q >= len(e.queues) {
		return nil, fmt.Errorf("%w: %s has %d, not %d", port.ErrQueue, e.cfg.Name, len(e.queues), q)
	}
	return e.queues[q], nil
}
