package stack

// What BBR's model means for sending ("Updating Control Parameters").

// setPacing is SetPacingRateWithGain, the gain in percent.
func (b *bbr) setPacing(gain uint64) {
	rate := b.bw * gain / 100 * (100 - bbrPacingMargin) / 100
	if rate != 0 && (b.fullBWReached || rate > b.pacing) {
		b.pacing = rate
	}
}

// setCwnd is SetCwnd ("cwnd Adjustment Mechanism").
func (b *bbr) setCwnd(c *Congestion, a *AckSample) {
	most := b.quantize(b.bdp(bbrCwndGain[b.state]) + max(b.extraAcked[0], b.extraAcked[1]))
	cwnd := uint64(c.Cwnd)
	switch {
	case b.fullBWReached:
		cwnd = min(cwnd+uint64(a.Delivered), most)
	case cwnd < most || uint64(b.delivered) < b.initCwnd:
		cwnd += uint64(a.Delivered)
	}
	least := bbrMinPipe * b.mss
	cwnd = max(cwnd, least)
	if b.state == bbrProbeRTT {
		cwnd = min(cwnd, b.probeRTTCwnd())
	}
	// BoundCwndForModel.
	cap := uint64(bbrInf)
	switch b.state {
	case bbrDown, bbrRefill, bbrUp:
		cap = b.inflightLT
	case bbrProbeRTT, bbrCruise:
		cap = b.withHeadroom()
	}
	cap = max(min(cap, b.inflightST), least)
	c.Cwnd = uint32(min(cwnd, cap, cwndMax))
}

// saveCwnd is SaveCwnd ("Modulating cwnd in Loss Recovery").
func (b *bbr) saveCwnd(c *Congestion) {
	if !b.inRecovery && !b.inRTO && b.state != bbrProbeRTT {
		b.priorCwnd = c.Cwnd
	} else {
		b.priorCwnd = max(b.priorCwnd, c.Cwnd)
	}
}

// restoreCwnd is RestoreCwnd.
func (b *bbr) restoreCwnd(c *Congestion) { c.Cwnd = max(c.Cwnd, b.priorCwnd) }

// probeRTTCwnd is ProbeRTTCwnd.
func (b *bbr) probeRTTCwnd() uint64 { return max(b.bdp(bbrCwndGain[bbrProbeRTT]), bbrMinPipe*b.mss) }
