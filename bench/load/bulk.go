package load

import (
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// Bulk sends as much as each connection takes.
type Bulk struct {
	base
	block []byte
	pcbs  map[*stack.TCP]struct{}
}

// NewBulk makes a bulk client on s; Config.Size is the bytes a Write.
func NewBulk(s *stack.Stack, cfg Config) *Bulk {
	cfg.setDefaults(16 << 10)
	return &Bulk{base: newBase(s, cfg), block: NewPattern(patternSeed), pcbs: map[*stack.TCP]struct{}{}}
}

// Start opens the connections.
func (b *Bulk) Start() error {
	for range b.cfg.Conns {
		pcb, err := b.newPCB()
		if err != nil {
			return err
		}
		b.pcbs[pcb] = struct{}{}
		pcb.SetErr(func(_ any, err error) {
			delete(b.pcbs, pcb)
			if !b.stopped {
				b.fail(err)
			}
		})
		pcb.SetSent(b.sent)
		pcb.SetRecv(b.recv)
		if err := pcb.Connect(b.cfg.To, b.connected); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bulk) connected(_ any, pcb *stack.TCP, _ error) error {
	b.n.Opened++
	return b.fill(pcb)
}

func (b *Bulk) sent(_ any, pcb *stack.TCP, n int) error {
	b.n.BytesOut += uint64(n)
	return b.fill(pcb)
}

// fill keeps the send buffer full.
func (b *Bulk) fill(pcb *stack.TCP) error {
	for !b.stopped && pcb.SndBuf() >= b.cfg.Size {
		if pcb.Write(b.block[:b.cfg.Size], 0) != nil {
			break
		}
		b.n.Ops++
	}
	return nil
}

func (b *Bulk) recv(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
	if p == nil {
		delete(b.pcbs, pcb)
		b.n.Closed++
		return pcb.Close()
	}
	b.n.BytesIn += uint64(p.TotLen())
	pcb.Recved(p.TotLen())
	p.Free()
	return nil
}

// Stop closes the connections.
func (b *Bulk) Stop() {
	b.stopped = true
	for pcb := range b.pcbs {
		pcb.Abort()
	}
}
