package mem

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
)

// A link joins one sending queue of an end with one receiving queue of the
// other. Each side has its own struct; what they share are the two rings.

// completion tells the receiver that a posted buffer has been filled. A frame
// of several buffers has as many completions, one behind the other.
type completion struct {
	buf  uintptr // address of the Pbuf
	time int64   // when the frame arrives, ns
	hash uint32  // valid with infoHash
	info uint32  // length of this buffer, and flags
}

// completion.info.
const (
	infoLen   = 1<<24 - 1
	infoMore  = 1 << 24 // the frame goes on in the next completion
	infoHash  = 1 << 25 // the frame has been hashed
	infoDirty = 1 << 26 // the wire changed the frame: it vouches for no checksum
	infoLRO   = 1 << 27 // several segments; see scatterBig
	infoAlias = 1 << 28 // buf is an alias, with all that is to be known of the frame
)

// burst is how many elements go through the rings at a time.
const burst = 64

// txLink is the sender's side.
type txLink struct {
	fill  *ring.SPSC[uintptr]
	recv  *ring.SPSC[completion]
	to    *queue // the receiver; only its doorbell is the sender's business
	room  int    // bytes in a posted buffer
	depth int    // how many the receiver posts at most
	have  int    // buffers taken from fill and not yet used: stock[:have]
	stock []uintptr
	out   [burst]completion
	outN  int    // completions not yet in recv: out[:outN]
	lost  uint64 // frames without a buffer since the last flush

	home  *channel      // where aliases come back; nil: all frames are copied
	slots int           // frames that may be handed over before earn
	by    pbuf.Borrower // what is handed over, and to whom

	// For any thread, in a line of their own.
	_       ring.Pad
	missed  ring.Counter // frames for which no buffer was posted
	refused ring.Counter // frames longer than the receiver takes
	_       ring.Pad
}

// put copies a frame into posted buffers. c has time, hash and flags; hint is
// how many frames the caller still has. Without a buffer the frame is lost. p
// stays the caller's.
func (l *txLink) put(p *pbuf.Pbuf, c completion, hint int) {
	n := p.Len()
	switch {
	case n != p.TotLen() || n > l.room:
		l.scatter(p, c, noFlip)
	case l.ready(hint):
		l.dma(p, c)
	default:
		l.lost++
	}
}

// dma copies a frame of one buffer into one posted buffer. The link is ready.
func (l *txLink) dma(p *pbuf.Pbuf, c completion) {
	b := p.Payload()
	l.have--
	c.buf = l.stock[l.have]
	c.info |= uint32(len(b))
	copy(target(c.buf, len(b)), b)
	l.out[l.outN] = c
	l.outN++
}

// need is how many buffers a frame of n bytes takes.
func (l *txLink) need(n int) int { return max((n+l.room-1)/l.room, 1) }

// buffers is how many posted buffers there are.
func (l *txLink) buffers() int { return l.have + l.fill.Len() }

// ready reports whether there is a buffer and room for a completion, and sees to
// both.
func (l *txLink) ready(hint int) bool {
	return l.have > 0 && l.outN < len(l.out) || l.makeReady(hint)
}

func (l *txLink) makeReady(hint int) bool {
	if l.have == 0 {
		l.have = l.fill.PopBatch(l.stock[:min(hint, burst)])
	}
	if l.outN == len(l.out) {
		l.deliver()
	}
	return l.have > 0
}

// noFlip is the flip of a frame that arrives as it was sent.
const noFlip = -1

// scatter is put for all that is not simple: chains, frames that need several
// buffers, and frames of which bit number flip is to arrive wrong.
func (l *txLink) scatter(p *pbuf.Pbuf, c completion, flip int) {
	left := p.TotLen()
	need := l.need(left)
	if l.have < need {
		l.have += l.fill.PopBatch(l.stock[l.have:])
		if l.have < need {
			l.lost++
			return
		}
	}
	flags := c.info
	for off := 0; need > 0; need-- {
		l.have--
		c.buf = l.stock[l.have]
		dst := target(c.buf, min(left, l.room))
		p, off = gather(dst, p, off)
		if flip >= 0 && flip < 8*len(dst) {
			dst[flip/8] ^= 1 << (flip % 8)
		}
		flip -= 8 * len(dst)
		left -= len(dst)
		c.info = flags | uint32(len(dst))
		if left > 0 {
			c.info |= infoMore
		}
		l.push(c)
	}
}

// gather fills dst with the bytes of a chain from off in buffer p on, and
// returns where it stopped.
func gather(dst []byte, p *pbuf.Pbuf, off int) (*pbuf.Pbuf, int) {
	for {
		n := copy(dst, p.Payload()[off:])
		off += n
		if dst = dst[n:]; len(dst) == 0 {
			return p, off
		}
		p, off = p.Next(), 0
	}
}

// push adds a completion to those that the next deliver hands over.
func (l *txLink) push(c completion) {
	if l.outN == len(l.out) {
		l.deliver()
	}
	l.out[l.outN] = c
	l.outN++
}

// deliver puts the completions into the ring. They fit: the ring is as long as
// the number of buffers that the receiver posts, and twice that if frames are handed
// over.
func (l *txLink) deliver() {
	l.recv.PushBatch(l.out[:l.outN])
	l.outN = 0
}

// flush ends a burst: what was put becomes the receiver's.
func (l *txLink) flush() {
	if l.outN > 0 {
		l.deliver()
		l.to.door.Ring()
	}
	if l.lost > 0 {
		l.missed.Add(l.lost)
		l.lost = 0
	}
}

// rxLink is the receiver's side.
type rxLink struct {
	fill   *ring.SPSC[uintptr]
	recv   *ring.SPSC[completion]
	peer   *txLink      // reached for by Close only, when the sender is shut out
	posted int          // buffers in fill, in the sender's stock and in recv
	depth  int          // how many of them there should be
	batch  int          // how many are posted at a time
	parts  []*pbuf.Pbuf // buffers of a frame whose end has not come yet
	first  uint32       // hash of the first of parts
	home   *channel     // where aliases go back, for the pool's lender
	known  bool         // the lender knows
}

// join adds a buffer to the frame under way and returns the frame, as a chain,
// once it is complete. The chain is linked from its end, for Cat walks through
// what it appends to.
func (l *rxLink) join(p *pbuf.Pbuf, more bool) *pbuf.Pbuf {
	l.parts = append(l.parts, p)
	if more {
		return nil
	}
	for i := len(l.parts) - 2; i >= 0; i-- {
		l.parts[i].Cat(l.parts[i+1])
	}
	p = l.parts[0]
	l.parts = l.parts[:0]
	return p
}
