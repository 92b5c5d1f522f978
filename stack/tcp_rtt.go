package stack

import "time"

// rttEstimator is RFC 6298 in microseconds, scaled as Jacobson did: srtt by 8,
// rttvar by 4.
type rttEstimator struct {
	srtt8   uint32 // 0: no sample yet
	rttvar4 uint32
	base    uint32 // RTO without backoff, µs
	minRTT  uint32 // µs; 0: no sample yet
	minRTO  uint32 // µs
	maxRTO  uint32 // µs
	backoff uint8
	probed  bool // no sample since the latest tail loss probe (RFC 8985 7.3)
	// With tfTLP: how long after the probe the retransmission would be due, in ticks.
	afterProbe uint16
}

const maxRTTSample = 1 << 28 // µs; keeps the scaled values in 32 bits

// setBounds sets the bounds of the timeout, and the timeout itself as long as
// there is no sample.
func (r *rttEstimator) setBounds(cfg *TCPConfig) {
	us := func(d time.Duration) uint32 { return uint32(min(d.Microseconds(), maxRTTSample)) }
	r.minRTO, r.maxRTO = us(cfg.MinRTO), us(cfg.MaxRTO)
	if r.srtt8 == 0 {
		r.base = us(cfg.InitialRTO)
	} else {
		r.base = min(max(r.base, r.minRTO), r.maxRTO)
	}
}

// sample takes a round-trip measurement in ns (RFC 6298 2.2, 2.3).
func (r *rttEstimator) sample(ns int64) {
	r.probed = false
	m := uint32(max(1, min(ns/1000, maxRTTSample)))
	if r.minRTT == 0 || m < r.minRTT {
		r.minRTT = m
	}
	if r.srtt8 == 0 {
		r.srtt8 = m * 8
		r.rttvar4 = m * 2
	} else {
		err := int32(m) - int32(r.srtt8/8)
		r.srtt8 = uint32(max(1, int32(r.srtt8)+err))
		if err < 0 {
			err = -err
		}
		r.rttvar4 += uint32(err) - r.rttvar4/4
	}
	// RTO = SRTT + max(G, 4*RTTVAR), within bounds (2.4, 2.5).
	const clockGranularity = 1 << tickShift / 1000
	rto := r.srtt8/8 + max(clockGranularity, r.rttvar4)
	r.base = min(max(rto, r.minRTO), r.maxRTO)
}

// opened is called when a handshake that was repeated is over (RFC 6298 5.7).
func (r *rttEstimator) opened() {
	if r.srtt8 == 0 {
		r.base = min(3*r.base, r.maxRTO)
	}
}

// rto is the current timeout in ns, backoff included (RFC 6298 5.5).
func (r *rttEstimator) rto() int64 {
	return min(int64(r.base)<<min(r.backoff, 16), int64(r.maxRTO)) * 1000
}
