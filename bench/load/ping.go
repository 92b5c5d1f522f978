package load

import "github.com/shardstack/shardstack/stack"

const (
	// pingFlood is how long a client without a rate waits for an answer before
	// it sends the next request, as ping -f does.
	pingFlood = 10_000_000
	// pingWait is how long the last requests may take to be answered.
	pingWait = 1_000_000_000
)

// Ping sends ICMP echo requests with Size bytes of data to Config.To's address
// (RFC 792). An operation is a request that was answered; what comes back
// twice, or shortened, is an error. Answers may come to any shard, so it wants
// a group of one. No more than 256 can be under way.
type Ping struct {
	base
	ping *stack.Ping
	next int64 // without a rate: when to send at the latest
	last int64 // when the last request was sent, or the neighbour first asked for
	seq  uint16
	wait bool // the last request is not answered
	path bool // the neighbour on the way is known
	lost bool // the missing answers are booked
}

// NewPing makes a ping client on s.
func NewPing(s *stack.Stack, cfg Config) *Ping {
	cfg.setDefaults(56)
	return &Ping{base: newBase(s, cfg)}
}

// Start opens the socket.
func (p *Ping) Start() (err error) {
	if p.ping, err = p.s.NewPing(p.cfg.To.Addr(), nil, p.reply); err != nil {
		return err
	}
	if _, err = p.s.Resolve(p.cfg.To.Addr()); err != nil {
		return err
	}
	if len(p.cfg.From) != 0 {
		return p.ping.Raw().Bind(p.cfg.From[0])
	}
	return nil
}

// reply books what came back for a request.
func (p *Ping) reply(_ any, _ *stack.Ping, r stack.PingReply) {
	p.n.PacketsIn++
	p.n.BytesIn += uint64(r.Bytes)
	p.wait = p.wait && r.Seq != p.seq
	switch {
	case r.Err != nil:
		p.fail(r.Err)
	case r.Duplicate || r.Bytes != p.cfg.Size:
		p.n.Errors++
	default:
		p.n.Ops++
		p.record(int64(r.RTT))
	}
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

func (p *Ping) send(now int64) (err error) {
	if p.seq, err = p.ping.Send(p.cfg.Size); err != nil {
		return err
	}
	p.begun++
	p.n.PacketsOut++
	p.n.BytesOut += uint64(p.cfg.Size)
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
	if p.n.Ops+p.n.Failed >= p.cfg.Count {
		return true
	}
	if p.s.Now() < p.last+pingWait {
		return false
	}
	if !p.lost {
		p.lost = true
		p.n.Failed = p.cfg.Count - p.n.Ops
	}
	return true
}
