package sim

import (
	"fmt"
	"io"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pcapng"
)

// Capture is a pcapng file of a link. It has two interfaces, the link's ends,
// and on each the frames that were sent there and those that arrived there: a
// frame that got lost is in it once, one that was doubled three times.
type Capture struct {
	w    io.Writer
	buf  []byte
	snap int
	err  error
}

// maxSnap is longer than any frame.
const maxSnap = 256 << 10

// flushAt is how many bytes are gathered before they are written.
const flushAt = 1 << 20

// Capture has the link's frames written to w from now on; snap is how many bytes
// of a frame are kept, 0 all of them. What is gathered is written at the end of
// each run. A link has one capture.
func (l *Link) Capture(w io.Writer, snap int) (*Capture, error) {
	if l.capture != nil || snap < 0 {
		return nil, bad("Capture: link has one, or snap %d", snap)
	}
	def(&snap, maxSnap)
	c := &Capture{w: w, snap: min(snap, maxSnap)}
	c.buf = append(c.buf, pcapng.SectionHeader()...)
	for _, d := range []*Half{l.ab, l.ba} {
		c.buf = append(c.buf, pcapng.InterfaceBlock(d.name, c.snap)...)
	}
	l.capture = c
	return c, nil
}

// Err is the first error of the writer. After it nothing more is written.
func (c *Capture) Err() error { return c.err }

// record adds a frame seen at end d.
func (c *Capture) record(d *Half, f *pbuf.Pbuf, sent bool) {
	p := pcapng.Packet{Frame: f, Time: d.net.now, Snap: c.snap, Direction: pcapng.Inbound}
	if sent {
		p.Direction = pcapng.Outbound
	}
	if d == d.link.ba {
		p.Interface = 1
	}
	if c.buf = pcapng.AppendPacket(c.buf, &p); len(c.buf) >= flushAt {
		c.flush()
	}
}

func (c *Capture) flush() {
	if c.err == nil && len(c.buf) > 0 {
		if _, err := c.w.Write(c.buf); err != nil {
			c.err = fmt.Errorf("sim: capture: %w", err)
		}
	}
	c.buf = c.buf[:0]
}
