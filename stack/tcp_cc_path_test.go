package stack

import (
	"math/rand/v2"
	"time"

	"github.com/shardstack/shardstack/header"
)

// ccPath is a controller with a path, in simulated time: a bottleneck with a
// queue, and a receiver that acknowledges each segment for itself (as with
// selective acknowledgements). What is lost is noticed when its ACK would have
// come. It uses the stack's rate sampler and pacer, but none of its sender.
type ccPath struct {
	c   Congestion
	ctl CongestionControl
	r   rateSampler
	p   pacer
	now int64

	rate    uint64 // of the bottleneck, bytes/s
	rtt     int64  // without queue
	buffer  int64  // of the bottleneck, bytes
	loss    float64
	mark    int64 // bytes queued from which packets are marked CE; 0: never
	rng     *rand.Rand
	app     func(p *ccPath) bool // whether the application has data; nil: always
	onAck   func(p *ccPath, a *AckSample)
	ecnNext header.Seq // no further reaction to marks before this is acknowledged

	pkts      []ccPacket // in flight, in order of their ACKs
	busy      int64      // when the bottleneck is free
	seq, una  header.Seq
	flight    uint32
	delivered uint64
	lost      uint64
	limitedAt header.Seq
	recovery  header.Seq
	inRec     bool
}

type ccPacket struct {
	g     tcpSeg
	ackAt int64
	lost  bool
	ce    bool
}

const pathMSS = 1000

func newPath(ctl CongestionControl, mbit uint64, rtt time.Duration) *ccPath {
	p := &ccPath{ctl: ctl, now: int64(time.Hour), rate: mbit * 125_000, rtt: int64(rtt), seq: 1, una: 1}
	p.c = Congestion{Cwnd: 10 * pathMSS, Ssthresh: ssthreshNone, MSS: pathMSS}
	p.rng = rand.New(rand.NewPCG(1, 2))
	p.buffer = 2 * p.bdp()
	ctl.Init(&p.c, p.now)
	p.repace()
	return p
}

func (p *ccPath) bdp() int64 { return int64(p.rate) * p.rtt / 1e9 }

func (p *ccPath) repace() {
	if x, ok := p.ctl.(CongestionPacer); ok {
		p.p.set(x.PacingRate())
	}
}

func (p *ccPath) sample() *AckSample {
	return &AckSample{Now: p.now, SRTT: p.rtt, Una: p.una, Nxt: p.seq, FlightSize: p.seq.Sub(p.una), FlightBefore: p.flight,
		Flight: p.flight, Recovery: p.inRec, CwndLimited: p.una.LessEq(p.limitedAt)}
}

// send sends what may go.
func (p *ccPath) send() {
	for p.flight+pathMSS <= p.c.Cwnd && p.p.room(p.now, pathMSS) != 0 && (p.app == nil || p.app(p)) {
		if p.flight == 0 {
			p.ctl.OnEvent(&p.c, CongestionIdle, p.sample())
			p.repace()
		}
		k := ccPacket{g: tcpSeg{seq: p.seq, n: pathMSS, tx: 1, sentAt: p.now}}
		p.r.sent(&k.g, p.flight, p.now)
		p.p.spend(pathMSS, p.now)
		p.seq = p.seq.Add(pathMSS)
		p.flight += pathMSS
		queue := max(0, p.busy-p.now) * int64(p.rate) / 1e9
		k.lost = queue > p.buffer || p.rng.Float64() < p.loss
		k.ce = p.mark != 0 && queue > p.mark
		if !k.lost {
			p.busy = max(p.busy, p.now) + pathMSS*1e9/int64(p.rate)
		}
		k.ackAt = max(p.busy, p.now) + p.rtt
		p.pkts = append(p.pkts, k)
	}
	switch {
	case p.app != nil && !p.app(p):
		if p.flight < p.c.Cwnd {
			p.r.limit(p.flight)
		}
	case p.flight+pathMSS > p.c.Cwnd:
		p.limitedAt = p.seq
	}
}

// ack takes the ACK, or the loss, of the first packet.
func (p *ccPath) ack() {
	k := &p.pkts[0]
	p.pkts = p.pkts[1:]
	p.now = max(p.now, k.ackAt)
	a := p.sample()
	p.flight -= pathMSS
	p.una = k.g.end()
	a.Una, a.Flight = p.una, p.flight
	if p.inRec && p.una.Greater(p.recovery) {
		p.inRec = false
		p.ctl.OnEvent(&p.c, CongestionRecovered, a)
	}
	p.r.next()
	if k.lost {
		p.lost += pathMSS
		a.Lost = pathMSS
		p.r.lost += pathMSS
		if x, ok := p.ctl.(CongestionLosses); ok {
			x.OnLost(&p.c, &LostSegment{Now: p.now, Seq: k.g.seq, Bytes: pathMSS, InFlight: k.g.rate.inFlight,
				Lost: p.r.lost - k.g.rate.lost, Prior: k.g.rate.delivered, AppLimited: k.g.appLimited})
		}
		if !p.inRec {
			p.inRec, p.recovery = true, p.seq
			p.ctl.OnEvent(&p.c, CongestionLoss, a)
			if !p.ctl.Traits().OwnsRecovery {
				p.c.Cwnd = p.c.Ssthresh
			}
		}
		p.repace()
		return
	}
	p.delivered += pathMSS
	p.r.take(&k.g, pathMSS, p.now)
	a.Acked, a.Delivered, a.RTT = pathMSS, pathMSS, p.now-k.g.sentAt
	if k.ce {
		a.ECE = pathMSS
		if p.una.Greater(p.ecnNext) && !p.inRec {
			p.ecnNext = p.seq
			p.ctl.OnEvent(&p.c, CongestionECN, a)
		}
	}
	a.Rate = p.r.sample(p.rtt)
	p.ctl.OnAck(&p.c, a)
	if a.MarkAppLimited {
		p.r.limit(p.flight)
	}
	p.repace()
	if p.onAck != nil {
		p.onAck(p, a)
	}
}

// run lets time pass and returns how many bytes were delivered in it.
func (p *ccPath) run(d time.Duration) uint64 {
	end, was := p.now+int64(d), p.delivered
	for p.now < end {
		p.step()
	}
	return p.delivered - was
}

// step goes to the next event.
func (p *ccPath) step() {
	p.send()
	next := p.now + int64(time.Millisecond)
	if p.flight+pathMSS <= p.c.Cwnd {
		next = min(next, p.now+max(p.p.delay(p.now), 1000))
	}
	if len(p.pkts) > 0 && p.pkts[0].ackAt <= next {
		p.ack()
		return
	}
	p.now = next
}

// until runs until cond holds after an ACK; false: not within d.
func (p *ccPath) until(d time.Duration, cond func() bool) bool {
	for end := p.now + int64(d); p.now < end; {
		if cond() {
			return true
		}
		p.step()
	}
	return cond()
}
