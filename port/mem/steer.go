package mem

import (
	"fmt"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// frameHead is how many bytes of a frame are looked at to hash it: enough for
// two tags, IPv6 with some extension headers, and ports.
const frameHead = 256

// steer hashes a frame and picks the link by the receiver's RETA.
func (q *queue) steer(p *pbuf.Pbuf, c *completion) *txLink {
	b := p.Payload()
	if p.TotLen() > len(b) && len(b) < frameHead {
		b = q.head[:p.CopyPartial(q.head[:], 0)]
	}
	peer := q.end.peer
	hash, kind := peer.hasher.HashFrame(b)
	if kind != 0 {
		c.hash = hash
		c.info = infoHash
	}
	return q.to[peer.reta.Load().Queue(hash)]
}

// SetRETA replaces the redirection table, also while frames flow.
func (e *End) SetRETA(t rss.RETA) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if e.state.Load() == endClosed {
		return fmt.Errorf("%w: %s", port.ErrClosed, e.cfg.Name)
	}
	if !e.rss.Enabled() {
		return fmt.Errorf("%w: %s has one queue and no RSS", port.ErrNotSupported, e.cfg.Name)
	}
	if t.Size() != e.cfg.RETASize {
		return fmt.Errorf("%w: a RETA of %d entries for %s, which has %d", port.ErrConfig, t.Size(), e.cfg.Name, e.cfg.RETASize)
	}
	if err := t.Validate(e.cfg.Queues); err != nil {
		return fmt.Errorf("%w: %s: %w", port.ErrConfig, e.cfg.Name, err)
	}
	e.rss.RETA = t
	e.reta.Store(&t)
	return nil
}

// ProbeHash implements port.HashProber.
func (e *End) ProbeHash(frame []byte) (hash uint32, queue int, err error) {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if !e.rss.Enabled() {
		return 0, 0, fmt.Errorf("%w: %s has one queue and no RSS", port.ErrNotSupported, e.cfg.Name)
	}
	hash, _ = e.hasher.HashFrame(frame)
	return hash, int(e.rss.RETA.Queue(hash)), nil
}

// SetKey replaces the RSS key; only before Start.
func (e *End) SetKey(k rss.Key) error {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	if err := e.checkNew(); err != nil {
		return err
	}
	if !e.rss.Enabled() {
		return fmt.Errorf("%w: %s has one queue and no RSS", port.ErrNotSupported, e.cfg.Name)
	}
	if k.IsZero() {
		return fmt.Errorf("%w: a zero RSS key for %s", port.ErrConfig, e.cfg.Name)
	}
	e.rss.Key = k
	e.hasher = rss.NewHasher(k)
	return nil
}
