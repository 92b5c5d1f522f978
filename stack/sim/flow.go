package sim

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// ErrData says that a flow's receiver got other bytes than were sent.
var ErrData = errors.New("sim: wrong data")

// FlowConfig describes a bulk transfer by TCP.
type FlowConfig struct {
	// From connects and sends, To listens and receives.
	From, To *Host
	// Port that To listens on; each flow of a host needs its own.
	Port uint16
	// Bytes to send, after which the connection is closed. Default: no end.
	Bytes uint64
	// Setup is called with both ends' PCBs, the sender's before it connects, the
	// receiver's when it is accepted, to set their options. Default: nothing.
	Setup func(pcb *stack.TCP, sender bool)
}

// flowBlock is the data of all flows, over and over; flowWrite is how much is
// written at a time.
const (
	flowBlock = 1 << 16
	flowWrite = 1 << 14
)

// Flow is a bulk transfer by TCP that always has data to send. The receiver
// checks every byte.
type Flow struct {
	net      *Network
	cfg      FlowConfig
	block    []byte
	snd, rcv *stack.TCP
	sent     uint64
	received uint64
	err      error
	ended    bool
}

// AddFlow begins a transfer at the network's time; call it between runs, or from
// At.
func (n *Network) AddFlow(cfg FlowConfig) (*Flow, error) {
	f := &Flow{net: n, cfg: cfg, block: make([]byte, 2*flowBlock)}
	x := uint32(cfg.Port) + 1
	for i := range flowBlock {
		x = x*1664525 + 1013904223
		f.block[i] = byte(x >> 24)
	}
	copy(f.block[flowBlock:], f.block[:flowBlock])

	l := cfg.To.stack.NewTCP()
	if l == nil {
		return nil, stack.ErrMem
	}
	l.SetAccept(f.accepted)
	if err := l.Bind(netip.AddrPortFrom(netip.Addr{}, cfg.Port)); err != nil {
		l.Abort()
		return nil, err
	}
	if err := l.Listen(0); err != nil {
		l.Abort()
		return nil, err
	}
	if f.snd = cfg.From.stack.NewTCP(); f.snd == nil {
		return nil, stack.ErrMem
	}
	if cfg.Setup != nil {
		cfg.Setup(f.snd, true)
	}
	f.snd.SetErr(func(_ any, err error) { f.snd = nil; f.fail(err) })
	f.snd.SetSent(func(any, *stack.TCP, int) error { return f.fill() })
	err := f.snd.Connect(netip.AddrPortFrom(cfg.To.Addr(), cfg.Port), func(any, *stack.TCP, error) error { return f.fill() })
	return f, err
}

func (f *Flow) fail(err error) {
	if f.err == nil && !(f.ended && errors.Is(err, stack.ErrClosed)) {
		f.err = err
	}
}

// fill keeps the send buffer full.
func (f *Flow) fill() error {
	for f.snd != nil && !f.done() {
		at := int(f.sent % flowBlock)
		n := flowWrite
		if f.cfg.Bytes != 0 {
			n = int(min(uint64(n), f.cfg.Bytes-f.sent))
		}
		if f.snd.SndBuf() < n || f.snd.Write(f.block[at:at+n], 0) != nil {
			return nil // the next acknowledgement tries again
		}
		if f.sent += uint64(n); f.done() {
			return f.snd.Shutdown(false, true)
		}
	}
	return nil
}

// done reports whether all has been written.
func (f *Flow) done() bool { return f.cfg.Bytes != 0 && f.sent == f.cfg.Bytes }

func (f *Flow) accepted(_ any, pcb *stack.TCP, _ error) error {
	f.rcv = pcb
	if f.cfg.Setup != nil {
		f.cfg.Setup(pcb, false)
	}
	pcb.SetErr(func(_ any, err error) { f.rcv = nil; f.fail(err) })
	pcb.SetRecv(f.recv)
	return nil
}

func (f *Flow) recv(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		f.ended = true
		return pcb.Close()
	}
	for q := p; q != nil; q = q.Next() {
		for b := q.Payload(); len(b) > 0; {
			at := int(f.received % flowBlock)
			n := min(len(b), flowBlock)
			if !bytes.Equal(b[:n], f.block[at:at+n]) {
				f.fail(fmt.Errorf("%w: within %d bytes from %d", ErrData, n, f.received))
			}
			f.received += uint64(n)
			b = b[n:]
		}
	}
	n := p.TotLen()
	p.Free()
	pcb.Recved(n)
	return nil
}

// Received is how many bytes of data have arrived, in order.
func (f *Flow) Received() uint64 { return f.received }

// Sender and Receiver are the ends' PCBs, nil before the connection is accepted
// and after it has failed.
func (f *Flow) Sender() *stack.TCP   { return f.snd }
func (f *Flow) Receiver() *stack.TCP { return f.rcv }

// Ended reports whether the receiver has seen the end of the data.
func (f *Flow) Ended() bool { return f.ended }

// Err is the first thing that went wrong: the connection failed, or ErrData.
func (f *Flow) Err() error { return f.err }
