package load

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

const (
	// pingFlood is how long a client without a rate waits for an answer before
	// it sends the next request, as ping -f does.
	pingFlood = 10_000_000
	// pingWait is how long the last requests may take to be answered.
	pingWait = 1_000_000_000
)

// Ping sends ICMP echo requests with Size bytes of data to Config.To's address
// (RFC 792). An operation is a request that was answered; what comes back
// twice, or with other data, is an error. Answers may come to any shard, so it
// wants a group of one.
type Ping struct {
	base
	raw  *stack.Raw
	data []byte
	id   uint16
	sent []int64 // when the request with that sequence number was sent; 0: answered
	next int64   // without a rate: when to send at the latest
	last int64   // when the last request was sent, or the neighbour first asked for
	wait bool    // the last request is not answered
	path bool    // the neighbour on the way is known
	lost bool    // the missing answers are booked
}

// NewPing makes a ping client on s.
func NewPing(s *stack.Stack, cfg Config) *Ping {
	cfg.setDefaults(56)
	return &Ping{base: newBase(s, cfg), data: patternOf(cfg.Size), sent: make([]int64, 1<<16)}
}

// Start opens the socket.
func (p *Ping) Start() error {
	p.raw = p.s.NewRaw(header.ProtoICMP)
	if p.raw == nil {
		return stack.ErrClosed
	}
	p.raw.SetRecv(p.recv)
	p.id = uint16(p.s.Now()>>10) | 1
	if err := p.raw.Connect(p.cfg.To.Addr()); err != nil {
		return err
	}
	if len(p.cfg.From) != 0 {
		return p.raw.Bind(p.cfg.From[0])
	}
	return nil
}

// recv looks at each ICMP packet, payload at the IP header, and eats answers to
// our requests.
func (p *Ping) recv(_ any, _ *stack.Raw, b *pbuf.Pbuf, _ netip.Addr) bool {
	n := int(b.L3Len)
	var buf [header.ICMPv4Len]byte
	if p.raw == nil || b.CopyPartial(buf[:], n) != len(buf) {
		return false
	}
	h := (*header.ICMPv4)(buf[:])
	if h.Type() != header.ICMPv4EchoReply || h.EchoID() != p.id {
		return false
	}
	if offload.L4Sum(b, n, 0) != 0xffff {
		return false // the stack counts it
	}
	p.n.PacketsIn++
	p.n.BytesIn += uint64(b.TotLen() - n - header.ICMPv4Len)
	at := p.sent[h.EchoSeq()]
	switch {
	case at == 0 || b.TotLen() != n+header.ICMPv4Len+len(p.data) || b.Memcmp(p.data, n+header.ICMPv4Len) != 0:
		p.n.Errors++
	default:
		p.sent[h.EchoSeq()] = 0
		p.n.Ops++
		p.record(p.s.Now() - at)
		p.wait = p.wait && uint16(p.n.PacketsOut-1) != h.EchoSeq()
	}
	b.Free()
	return true
}

// Poll sends the request that is due.
func (p *Ping) Poll(now int64) int {
	if p.full() || p.cfg.Rate <= 0 && p.wait && now < p.next || now < p.pace.due {
		return 0
	}
	if !p.path && !p.resolve(now) {
		return 0
	}
	if !p.pace.take(now) {
		return 0
	}
	p.next = now + pingFlood
	if err := p.send(now); err != nil {
		p.fail(err)
		return 0
	}
	return 1
}

// resolve waits for the neighbour on the way, which large requests would
// overflow the queue for, but not for ever: a host that is not there is to show
// as loss.
func (p *Ping) resolve(now int64) bool {
	ok, err := p.s.Resolve(p.cfg.To.Addr())
	if err != nil && p.err == nil {
		p.err = err
	}
	if p.last == 0 {
		p.last = now
	}
	p.path = ok || now >= p.last+pingWait
	return p.path
}

func (p *Ping) send(now int64) error {
	b := p.s.Pool().Alloc(pbuf.LayerTransport, header.ICMPv4Len+len(p.data), pbuf.KindPool)
	if b == nil {
		return stack.ErrMem
	}
	seq := uint16(p.n.PacketsOut)
	h := (*header.ICMPv4)(b.Payload())
	h.Encode(header.ICMPv4Echo, 0, uint32(p.id)<<16|uint32(seq))
	_ = b.TakeAt(p.data, header.ICMPv4Len) // it has that length
	h.SetChecksum(^offload.L4Sum(b, 0, 0))
	if err := p.raw.Send(b); err != nil {
		return err
	}
	p.sent[seq] = now
	p.begun++
	p.n.PacketsOut++
	p.n.BytesOut += uint64(len(p.data))
	p.last, p.wait = now, true
	return nil
}

// Next is when the next request is due.
func (p *Ping) Next() int64 {
	switch {
	case p.stopped:
		return stack.Forever
	case p.full():
		return p.last + pingWait // for Done
	case p.cfg.Rate <= 0 && p.wait:
		return p.next
	case !p.path:
		return p.s.Now() + stallRetry
	}
	return p.pace.due
}

// Done is when all of Count were answered, or are late; those count as failed.
func (p *Ping) Done() bool {
	if p.stopped || p.cfg.Count == 0 || p.begun < p.cfg.Count {
		return false
	}
	if p.n.Ops >= p.cfg.Count {
		return true
	}
	if p.s.Now() < p.last+pingWait {
		return false
	}
	if !p.lost {
		p.lost = true
		p.n.Failed += p.cfg.Count - p.n.Ops
	}
	return true
}
