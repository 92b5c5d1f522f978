package stack

import "github.com/shardstack/shardstack/header"

// DCTCP (RFC 8257): the window shrinks by the fraction of bytes that were marked,
// so that queues stay short where switches mark early. It grows as NewReno's.

// dctcpG is g of RFC 8257 3.3 as a shift: 1/16. Alpha is in units of 2^-20.
const (
	dctcpG     = 4
	dctcpScale = 20
	dctcpOne   = 1 << dctcpScale
)

// dctcp is a connection's controller.
type dctcp struct {
	st            ccState // what NewReno keeps
	alpha         uint64  // DCTCP.Alpha
	acked, marked uint64  // DCTCP.BytesAcked, BytesMarked
	windowEnd     header.Seq
	begun         bool // windowEnd is valid
}

func (*dctcp) Name() string { return ccNames[ccDCTCP] }

func (*dctcp) Traits() CongestionTraits { return CongestionTraits{PreciseECN: true} }

// Init begins with the largest alpha (4.2), so that the first mark halves the
// window.
func (d *dctcp) Init(*Congestion, int64) { *d = dctcp{alpha: dctcpOne} }

// OnAck is RFC 8257 3.3, steps 1 to 8.
func (d *dctcp) OnAck(c *Congestion, a *AckSample) {
	d.acked += uint64(a.Delivered)
	d.marked += uint64(a.ECE)
	if !d.begun || a.Una.Greater(d.windowEnd) {
		if d.begun && d.acked != 0 {
			m := min(d.marked<<dctcpScale/d.acked, dctcpOne)
			d.alpha += m>>dctcpG - d.alpha>>dctcpG
		}
		d.windowEnd, d.begun, d.acked, d.marked = a.Nxt, true, 0, 0
	}
	switch used := d.st.use.ack(c, a); {
	case a.Recovery || a.Reduced || !used || c.Cwnd >= cwndMax:
	case c.Cwnd < c.Ssthresh:
		slowStart(c, a, renoL)
	default:
		renoAvoid(c, &d.st, a)
	}
}

// OnEvent reacts to marks by their fraction (3.3, step 9), to losses as any other
// TCP (3.4).
func (d *dctcp) OnEvent(c *Congestion, e CongestionEvent, a *AckSample) {
	if e != CongestionECN {
		renoEvent(c, &d.st, e, a)
		return
	}
	d.st.remember(c)
	d.st.acked = 0
	c.Cwnd = max(c.Cwnd-uint32(uint64(c.Cwnd)*d.alpha>>(dctcpScale+1)), 2*c.MSS)
	c.Ssthresh = c.Cwnd
}
