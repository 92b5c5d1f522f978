package stack

// ProbeBW cycles through DOWN, CRUISE, REFILL and UP ("ProbeBW"); ProbeRTT looks
// for the least round trip ("ProbeRTT").

func (b *bbr) inProbeBW() bool { return b.state >= bbrDown && b.state <= bbrUp }

// startDown is StartProbeBW_DOWN.
func (b *bbr) startDown(now int64) {
	b.resetCongestion()
	b.probeUpPerInc = bbrInf
	// PickProbeWait: chosen at random, so that flows do not probe in step.
	b.roundsSinceProbe = b.rng.below(2)
	b.probeWait = bbrProbeWait + int64(b.rng.below(1_000_000_000))
	b.cycleAt = now
	b.phase = acksProbeStopping
	b.startRound()
	b.state = bbrDown
}

// startRefill is StartProbeBW_REFILL.
func (b *bbr) startRefill() {
	b.resetShortTerm()
	b.probeUpRounds, b.probeUpAcked = 0, 0
	b.prevPrecautionary = false
	b.phase = acksRefilling
	b.startRound()
	b.state = bbrRefill
}

// startUp is StartProbeBW_UP.
func (b *bbr) startUp(c *Congestion, r *RateSample) {
	b.phase = acksProbeStarting
	b.startRound()
	b.resetFullBW()
	b.fullBW = r.DeliveryRate
	b.state = bbrUp
	b.raiseSlope(c)
}

// updateCycle is UpdateProbeBWCyclePhase ("ProbeBW Algorithm Details").
func (b *bbr) updateCycle(c *Congestion, a *AckSample) {
	if !b.fullBWReached || b.adaptLongTerm(c, a) {
		return
	}
	switch b.state {
	case bbrDown:
		if b.timeToProbe(c, a.Now) {
			b.startRefill()
		} else if b.timeToCruise(a) {
			b.state = bbrCruise
		}
	case bbrCruise:
		if b.timeToProbe(c, a.Now) {
			b.startRefill()
		}
	case bbrRefill:
		if b.roundStart {
			b.probeSample = true
			b.startUp(c, a.Rate)
		}
	case bbrUp:
		if b.timeToGoDown(c, a) {
			b.prevTooHigh = false
			b.startDown(a.Now)
		}
	}
}

// timeToProbe is IsTimeToProbeBW ("Time Scale for Bandwidth Probing"): after two
// to three seconds, or when a Reno flow would have grown as much as it lost.
func (b *bbr) timeToProbe(c *Congestion, now int64) bool {
	return now > b.cycleAt+b.probeWait ||
		uint64(b.roundsSinceProbe) >= min(b.target(c)/b.mss, bbrMaxRenoRounds)
}

// target is TargetInflight.
func (b *bbr) target(c *Congestion) uint64 { return min(b.bdp(100), uint64(c.Cwnd)) }

// timeToCruise is IsTimeToCruise.
func (b *bbr) timeToCruise(a *AckSample) bool {
	return uint64(a.Flight) <= b.withHeadroom() && uint64(a.Flight) <= b.inflight(100)
}

// timeToGoDown is IsTimeToGoDown ("Exit Conditions for Bandwidth Probing").
func (b *bbr) timeToGoDown(c *Congestion, a *AckSample) bool {
	// Precautionary probing; a flight that has no room for a segment is full.
	if b.prevTooHigh && uint64(a.FlightBefore)+b.mss > b.inflightLT {
		b.prevPrecautionary = true
		return true
	}
	if a.CwndLimited && uint64(c.Cwnd) >= b.inflightLT {
		b.resetFullBW() // it is inflightLT that limits
		b.fullBW = a.Rate.DeliveryRate
		return false
	}
	// The draft leaves UP only when the bandwidth no longer grows. But a flow can
	// make it grow for long at the expense of others while a queue builds, and
	// does not give that back for cycles; so UP ends, as in version 2, when there
	// has been a round of it and more is in flight than its pace explains without
	// a queue.
	return b.fullBWNow || b.phase == acksProbeFeedback && uint64(a.FlightBefore) > b.quantize(b.bdp(bbrPacingGain[bbrUp]))
}

// raiseSlope is RaiseInflightLongtermSlope.
func (b *bbr) raiseSlope(c *Congestion) {
	b.probeUpPerInc = max(uint64(c.Cwnd)>>b.probeUpRounds, b.mss)
	b.probeUpRounds = min(b.probeUpRounds+1, bbrMaxProbeUpShift)
}

// probeUpward is ProbeInflightLongtermUpward.
func (b *bbr) probeUpward(c *Congestion, a *AckSample) {
	if !a.CwndLimited || uint64(c.Cwnd) < b.inflightLT {
		return
	}
	b.probeUpAcked += uint64(a.Delivered)
	if n := b.probeUpAcked / b.probeUpPerInc; n > 0 {
		b.probeUpAcked -= n * b.probeUpPerInc
		b.inflightLT += n * b.mss
	}
	if b.roundStart {
		b.raiseSlope(c)
	}
}

// adaptLongTerm is AdaptLongTermModel. True: it has changed the state.
func (b *bbr) adaptLongTerm(c *Congestion, a *AckSample) bool {
	r := a.Rate
	if b.phase == acksProbeStarting && b.roundStart {
		b.phase = acksProbeFeedback
	}
	if b.phase == acksProbeStopping && b.roundStart {
		b.probeSample = false
		b.phase = acksInit
		if b.inProbeBW() && !r.AppLimited {
			b.advanceMaxBW()
		}
		if b.inProbeBW() && b.prevPrecautionary && !b.prevTooHigh { // it was safe
			b.startRefill()
			return true
		}
	}
	if !r.Valid || b.tooHigh(r.Lost, r.InFlight) || b.inflightLT == bbrInf {
		return false
	}
	b.inflightLT = max(b.inflightLT, uint64(r.InFlight))
	if b.state == bbrUp {
		b.probeUpward(c, a)
	}
	return false
}

// handleTooHigh is HandleInflightTooHigh: with inFlight bytes in flight too much
// was lost.
func (b *bbr) handleTooHigh(c *Congestion, inFlight uint64, appLimited bool, now int64) {
	b.prevTooHigh, b.probeSample = true, false // once a probe
	if !appLimited {
		b.inflightLT = max(inFlight, b.target(c)*bbrBeta/100)
	}
	if b.state == bbrUp {
		b.undoTo, b.undoSet = bbrUp, true
		b.startDown(now)
	}
}

// checkProbeRTT is CheckProbeRTT ("ProbeRTT Logic").
func (b *bbr) checkProbeRTT(c *Congestion, a *AckSample) {
	if b.state != bbrProbeRTT && b.probeRTTExpired && !b.idleRestart {
		b.saveCwnd(c)
		b.state = bbrProbeRTT
		b.probeRTTDoneAt = 0
		b.phase = acksProbeStopping
		b.startRound()
	}
	if b.state == bbrProbeRTT {
		a.MarkAppLimited = true // low rates in here mean nothing
		switch {
		case b.probeRTTDoneAt == 0 && uint64(a.Flight) <= b.probeRTTCwnd():
			b.probeRTTDoneAt = a.Now + bbrProbeRTTLasts
			b.probeRTTRound = false
			b.startRound()
		case b.probeRTTDoneAt != 0:
			b.probeRTTRound = b.probeRTTRound || b.roundStart
			if b.probeRTTRound {
				b.checkProbeRTTDone(c, a.Now)
			}
		}
	}
	if a.Rate.Delivered > 0 {
		b.idleRestart = false
	}
}

// checkProbeRTTDone is CheckProbeRTTDone, with ExitProbeRTT.
func (b *bbr) checkProbeRTTDone(c *Congestion, now int64) {
	if b.probeRTTDoneAt == 0 || now <= b.probeRTTDoneAt {
		return
	}
	b.probeRTTMinAt = now // that of the next one
	b.restoreCwnd(c)
	b.resetShortTerm()
	if b.fullBWReached {
		b.startDown(now)
		b.state = bbrCruise
	} else {
		b.enterStartup()
	}
}
