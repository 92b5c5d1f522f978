// Package trace writes one line of text for each frame of a port:
//
//	0.000012500 a/0 > 74 198.18.0.1:1024 > 198.18.0.2:80 TCP S seq 1 win 65535 mss 1460
//
// These are the time in seconds, the port's name and queue, the direction (">"
// sent, "<" received), the bytes of the frame, and what is in it. It is for
// eyes; for programs see package pcap.
package trace

import (
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/shardstack/shardstack/port"
)

// Tracer writes lines for one or more ports. A lock keeps the lines of different
// threads apart.
type Tracer struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// New returns a tracer that writes to w, the lines of a burst at a time.
func New(w io.Writer) *Tracer { return &Tracer{w: w} }

// Wrap returns a port that is p with its frames traced.
func (t *Tracer) Wrap(p port.Port) port.Port {
	return port.Observe(p, &observer{t: t, name: p.Info().Name})
}

// Err is the first error of the underlying writer. After it nothing more is
// written, and the ports go on. Any thread.
func (t *Tracer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// observer is the port.Observer of one port.
type observer struct {
	t    *Tracer
	name string
}

// Write implements port.Observer.
func (o *observer) Write(lines []byte) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	if o.t.err != nil {
		return
	}
	if _, err := o.t.w.Write(lines); err != nil {
		o.t.err = fmt.Errorf("trace: %w", err)
	}
}

// look is how many bytes of a frame are looked at: two tags, IPv6 with some
// extension headers, TCP with all options.
const look = 256

// Append implements port.Observer.
func (o *observer) Append(buf []byte, f *port.Frame) []byte {
	buf = appendTime(buf, f.Time)
	buf = append(buf, ' ')
	buf = append(buf, o.name...)
	buf = append(buf, '/')
	buf = strconv.AppendInt(buf, int64(f.Queue), 10)
	if f.Sent {
		buf = append(buf, " > "...)
	} else {
		buf = append(buf, " < "...)
	}
	buf = strconv.AppendInt(buf, int64(f.Packet.TotLen()), 10)
	buf = append(buf, ' ')
	var head [look]byte
	b := f.Packet.Payload()
	if len(b) < look && f.Packet.Next() != nil {
		b = head[:f.Packet.CopyPartial(head[:], 0)]
	}
	buf = AppendFrame(buf, b)
	return append(buf, '\n')
}

// appendTime writes nanoseconds as seconds with nine decimals.
func appendTime(buf []byte, ns int64) []byte {
	u := uint64(ns)
	if ns < 0 {
		buf = append(buf, '-')
		u = -u
	}
	buf = strconv.AppendUint(buf, u/1e9, 10)
	buf = append(buf, '.')
	frac := u % 1e9
	for d := uint64(1e8); d > 0; d /= 10 {
		buf = append(buf, byte('0'+frac/d%10))
	}
	return buf
}
