package stack

import "github.com/shardstack/shardstack/header"

// Delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation): how
// fast the path carried what the newest acknowledged segment was sent among.
// Only connections whose controller asks for it have a sampler. Its clock has
// units of 2^10 ns in 32 bits, its byte counts wrap at 2^32: both outlast any
// flight by far.

// RateSample is what an acknowledgement says of the rate of the path. The
// segment it speaks of is the one sent last among those that it delivers.
type RateSample struct {
	DeliveryRate uint64 // bytes/s; 0: the acknowledgement gives no valid sample
	Interval     int64  // over which Delivered arrived, ns
	Delivered    uint32 // bytes delivered since the segment was sent
	Lost         uint32 // bytes marked lost since then
	InFlight     uint32 // bytes in flight when it had been sent, itself included
	Prior        uint32 // Total when it was sent
	Total        uint32 // bytes delivered by the connection so far
	TotalLost    uint32 // bytes marked lost so far
	AppLimited   bool   // the application had left the window idle: the rate is a lower bound
	Valid        bool   // InFlight, Lost, Prior and AppLimited are known
}

// segRate is what a segment remembers of the moment it was last sent.
type segRate struct {
	delivered, lost        uint32 // the connection's counts
	deliveredAt, firstTxAt uint32
	inFlight               uint32 // itself included
}

// rateSampler is the state of a connection (section 3.2 there).
type rateSampler struct {
	delivered, lost uint32
	deliveredAt     uint32 // when delivered last grew
	firstTxAt       uint32 // send time of the segment most recently delivered
	limitedUntil    uint32 // the application limits until delivered is beyond; valid if appLimited
	appLimited      bool

	// Of the acknowledgement in work.
	newest                  header.Seq // end of the segment that the sample is of
	sendElapsed, ackElapsed uint32
	out                     RateSample
}

const rateShift = 10

func rateClock(now int64) uint32 { return uint32(now >> rateShift) }

// sent notes in g that it goes out now; flight is in flight without it
// (3.2, "Upon each packet transmission").
func (r *rateSampler) sent(g *tcpSeg, flight uint32, now int64) {
	if flight == 0 {
		r.firstTxAt, r.deliveredAt = rateClock(now), rateClock(now)
	}
	g.rate = segRate{
		delivered: r.delivered, lost: r.lost,
		deliveredAt: r.deliveredAt, firstTxAt: r.firstTxAt,
		inFlight: flight + g.seqLen(),
	}
	g.appLimited = r.appLimited
}

// take counts n bytes of g as delivered now (3.3, UpdateRateSample).
func (r *rateSampler) take(g *tcpSeg, n uint32, now int64) {
	r.delivered += n
	r.deliveredAt = rateClock(now)
	if g.rate.inFlight == 0 { // sent before there was a sampler
		return
	}
	sentAt := rateClock(g.sentAt)
	if o := &r.out; !o.Valid || int32(sentAt-r.firstTxAt) > 0 || sentAt == r.firstTxAt && g.end().Greater(r.newest) {
		o.Valid = true
		o.Prior, o.AppLimited, o.InFlight = g.rate.delivered, g.appLimited, g.rate.inFlight
		o.Lost = r.lost - g.rate.lost
		r.sendElapsed = sentAt - g.rate.firstTxAt
		r.ackElapsed = r.deliveredAt - g.rate.deliveredAt
		r.newest, r.firstTxAt = g.end(), sentAt
	}
}

// sample completes the sample of the acknowledgement in work; minRTT is the
// connection's in ns (3.3, GenerateRateSample). It is valid until next.
func (r *rateSampler) sample(minRTT int64) *RateSample {
	if r.appLimited && int32(r.delivered-r.limitedUntil) > 0 {
		r.appLimited = false
	}
	o := &r.out
	o.Total, o.TotalLost = r.delivered, r.lost
	if !o.Valid {
		return o
	}
	o.Delivered = r.delivered - o.Prior
	o.Interval = int64(max(r.sendElapsed, r.ackElapsed)) << rateShift
	// A sample over less than a round trip is of ACKs that were bunched up; the
	// clock rounds down, so two units are forgiven.
	if o.Interval == 0 || o.Interval+2<<rateShift < minRTT {
		return o
	}
	o.DeliveryRate = uint64(o.Delivered) * 1e9 / uint64(o.Interval)
	return o
}

// next makes ready for another acknowledgement.
func (r *rateSampler) next() { r.out = RateSample{} }

// limit notes that the application has nothing to send while the window has
// room for more than flight (3.4).
func (r *rateSampler) limit(flight uint32) {
	r.appLimited, r.limitedUntil = true, r.delivered+flight
}
