// Package pcap writes the frames of ports to a capture file, for Wireshark,
// tshark and the like: pcapng with nanoseconds, an interface for each port, and
// for each frame its direction and queue.
//
//	w, err := pcap.NewWriter(file, pcap.Config{})
//	a, err := w.Wrap(portA)
//	b, err := w.Wrap(portB) // the same file
//
// Checksums that the stack left to the port (offload.TxCsum) are not yet in
// frames that are sent, as with any capture on the sending machine.
package pcap

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/shardstack/shardstack/pcapng"
	"github.com/shardstack/shardstack/port"
)

// ErrConfig says that a Config contradicts itself.
var ErrConfig = errors.New("pcap: bad configuration")

// Config describes a capture.
type Config struct {
	// SnapLen is how many bytes of a frame are kept. Default all of them.
	SnapLen int
	// Epoch is when the clock of the ports' now was 0. Default 1970-01-01 UTC,
	// which is right for wall clocks; simulations often start there, too. Not
	// before that date.
	Epoch time.Time
}

// MaxSnapLen is the largest SnapLen, and the default: longer than any frame.
const MaxSnapLen = 256 << 10

// Validate returns an error matching ErrConfig if c contradicts itself.
func (c Config) Validate() error {
	switch {
	case c.SnapLen < 0 || c.SnapLen > MaxSnapLen:
		return fmt.Errorf("%w: SnapLen %d is not in [0, %d]", ErrConfig, c.SnapLen, MaxSnapLen)
	case !c.Epoch.IsZero() && c.Epoch.UnixNano() < 0:
		return fmt.Errorf("%w: Epoch %v is before 1970", ErrConfig, c.Epoch)
	}
	return nil
}

// Writer writes one capture file. Wrapped ports call it from the threads of
// their queues; a lock keeps bursts apart.
type Writer struct {
	snap  int
	epoch int64

	mu     sync.Mutex
	w      io.Writer
	ifaces uint32 // interface blocks written; their numbers are their places
	err    error
}

// NewWriter starts a file. Each burst is one call of w.Write: give a
// bufio.Writer if that is too often, and flush it when the ports are closed.
func NewWriter(w io.Writer, cfg Config) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	pw := &Writer{w: w, snap: cfg.SnapLen}
	if pw.snap == 0 {
		pw.snap = MaxSnapLen
	}
	if !cfg.Epoch.IsZero() {
		pw.epoch = cfg.Epoch.UnixNano()
	}
	if err := pw.write(pcapng.SectionHeader()); err != nil {
		return nil, err
	}
	return pw, nil
}

// Wrap returns a port that is p with its frames in the file, as an interface of
// p's name. Any thread, before p's threads run.
func (w *Writer) Wrap(p port.Port) (port.Port, error) {
	name := p.Info().Name
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(pcapng.InterfaceBlock(name, w.snap)); err != nil {
		return nil, err
	}
	w.ifaces++
	return port.Observe(p, &iface{w: w, id: w.ifaces - 1}), nil
}

// Err is the first error of the underlying writer. After it nothing more is
// written, and the ports go on. Any thread.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// write appends whole blocks to the file. Under mu, but in NewWriter.
func (w *Writer) write(blocks []byte) error {
	if w.err == nil {
		if _, err := w.w.Write(blocks); err != nil {
			w.err = fmt.Errorf("pcap: %w", err)
		}
	}
	return w.err
}

// iface is the observer of one port.
type iface struct {
	w  *Writer
	id uint32
}

// Write implements port.Observer.
func (i *iface) Write(records []byte) {
	i.w.mu.Lock()
	_ = i.w.write(records) // kept for Err
	i.w.mu.Unlock()
}

// Append implements port.Observer: it makes an enhanced packet block.
func (i *iface) Append(buf []byte, f *port.Frame) []byte {
	p := pcapng.Packet{
		Frame: f.Packet, Time: f.Time + i.w.epoch, Interface: i.id, Snap: i.w.snap,
		Direction: pcapng.Inbound, Queue: uint32(f.Queue),
	}
	if f.Sent {
		p.Direction = pcapng.Outbound
	}
	return pcapng.AppendPacket(buf, &p)
}
