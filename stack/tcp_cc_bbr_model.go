package stack

// BBR's model of the path ("Updating Network Path Model Parameters").

// maxBW is BBR.max_bw: the largest rate of this and the previous cycle.
func (b *bbr) maxBW() uint64 { return max(b.maxBWs[0], b.maxBWs[1]) }

// startRound begins a round, which ends with the first ACK for something that is
// sent from now on.
func (b *bbr) startRound() { b.nextRound = b.delivered }

// updateMaxBW is UpdateMaxBw, with UpdateRound.
func (b *bbr) updateMaxBW(r *RateSample) {
	b.roundStart = r.Valid && int32(r.Prior-b.nextRound) >= 0
	if b.roundStart {
		b.startRound()
		b.roundCount++
		b.roundsSinceProbe++
	}
	if r.DeliveryRate > 0 && (r.DeliveryRate >= b.maxBW() || !r.AppLimited) {
		b.maxBWs[1] = max(b.maxBWs[1], r.DeliveryRate)
	}
}

// advanceMaxBW is AdvanceMaxBwFilter. A cycle without a sample does not count.
func (b *bbr) advanceMaxBW() {
	if b.maxBWs[1] != 0 {
		b.maxBWs[0], b.maxBWs[1] = b.maxBWs[1], 0
	}
}

// updateLatest is UpdateLatestDeliverySignals ("When not Probing for Bandwidth").
func (b *bbr) updateLatest(r *RateSample) {
	b.lossRoundStart = false
	if !r.Valid {
		return
	}
	b.bwLatest = max(b.bwLatest, r.DeliveryRate)
	b.inflightLatest = max(b.inflightLatest, uint64(r.Delivered))
	if int32(r.Prior-b.lossRound) >= 0 {
		b.lossRound, b.lossRoundStart = b.delivered, true
	}
}

// resetCongestion is ResetCongestionSignals.
func (b *bbr) resetCongestion() { b.lossInRound, b.bwLatest, b.inflightLatest = false, 0, 0 }

// resetShortTerm is ResetShortTermModel.
func (b *bbr) resetShortTerm() { b.bwST, b.inflightST = bbrInf, bbrInf }

// updateCongestion is UpdateCongestionSignals: once a round in which something
// was lost, and unless that was to be expected of probing, the short-term model
// follows what was delivered.
func (b *bbr) updateCongestion(c *Congestion, r *RateSample) {
	b.updateMaxBW(r)
	if !b.lossRoundStart {
		return
	}
	if b.lossInRound && !b.probing() {
		if b.bwST == bbrInf {
			b.bwST = b.maxBW()
		}
		if b.inflightST == bbrInf {
			b.inflightST = uint64(c.Cwnd)
		}
		b.bwST = max(b.bwLatest, b.bwST*bbrBeta/100)
		b.inflightST = max(b.inflightLatest, b.inflightST*bbrBeta/100)
	}
	b.lossInRound = false
}

// probing is IsProbingBW.
func (b *bbr) probing() bool {
	return b.state == bbrStartup || b.state == bbrRefill || b.state == bbrUp
}

// updateAggregation is UpdateACKAggregation: by how much ACKs come in bunches.
func (b *bbr) updateAggregation(c *Congestion, a *AckSample) {
	expected := uint64(float64(b.bw) * float64(a.Now-b.extraFrom) / 1e9)
	if b.extraDelivered <= expected {
		b.extraDelivered, b.extraFrom, expected = 0, a.Now, 0
	}
	b.extraDelivered += uint64(a.Delivered)
	extra := min(b.extraDelivered-expected, uint64(c.Cwnd))
	if b.roundStart {
		// The maximum of 10 rounds is kept as those of two times 5; in Startup
		// as that of this round and the one before.
		b.extraRounds++
		if b.extraRounds >= bbrExtraRounds || !b.fullBWReached {
			b.extraRounds = 0
			b.extraAcked[0], b.extraAcked[1] = b.extraAcked[1], 0
		}
	}
	b.extraAcked[1] = max(b.extraAcked[1], extra)
}

// updateMinRTT is UpdateMinRTT.
func (b *bbr) updateMinRTT(a *AckSample) {
	b.probeRTTExpired = a.Now > b.probeRTTMinAt+bbrProbeRTTEvery
	if a.RTT > 0 && (b.probeRTTMin == 0 || a.RTT < b.probeRTTMin || b.probeRTTExpired) {
		b.probeRTTMin, b.probeRTTMinAt = a.RTT, a.Now
	}
	if b.probeRTTMin != 0 && (b.minRTT == 0 || b.probeRTTMin < b.minRTT || a.Now > b.minRTTAt+bbrMinRTTFilter) {
		b.minRTT, b.minRTTAt = b.probeRTTMin, b.probeRTTMinAt
	}
}

// bdp is BDPMultiple(gain), the gain in percent.
func (b *bbr) bdp(gain uint64) uint64 {
	if b.minRTT == 0 {
		return b.initCwnd
	}
	return uint64(float64(b.bw)*float64(b.minRTT)/1e9) * gain / 100
}

// quantize is QuantizationBudget: enough for what the hosts hold back.
func (b *bbr) quantize(n uint64) uint64 {
	quantum := max(min(b.pacing/1000, 64<<10), 2*b.mss)
	n = max(n, 3*quantum, bbrMinPipe*b.mss)
	if b.state == bbrUp {
		n += bbrProbeExtra * b.mss
	}
	return n
}

// inflight is Inflight(gain).
func (b *bbr) inflight(gain uint64) uint64 { return b.quantize(b.bdp(gain)) }

// withHeadroom is InflightWithHeadroom.
func (b *bbr) withHeadroom() uint64 {
	if b.inflightLT == bbrInf {
		return bbrInf
	}
	head := max(b.mss, b.inflightLT*bbrHeadroom/100)
	return max(b.inflightLT-min(head, b.inflightLT), bbrMinPipe*b.mss)
}

// saveState is SaveStateUponLoss, but for the window.
func (b *bbr) saveState() {
	b.undoSet = false
	b.undoBWST, b.undoInST, b.undoInLT = b.bwST, b.inflightST, b.inflightLT
}

// undo is HandleSpuriousLossDetection.
func (b *bbr) undo(c *Congestion, now int64) {
	b.restoreCwnd(c)
	b.lossInRound = false
	b.resetFullBW()
	b.bwST = max(b.bwST, b.undoBWST)
	b.inflightST = max(b.inflightST, b.undoInST)
	b.inflightLT = max(b.inflightLT, b.undoInLT)
	switch {
	case !b.undoSet || b.state == b.undoTo:
	case b.undoTo == bbrStartup:
		b.fullBWReached = false
		if b.state != bbrProbeRTT {
			b.enterStartup()
		}
	case b.state != bbrProbeRTT:
		b.startRefill()
	}
	b.undoSet = false
}
