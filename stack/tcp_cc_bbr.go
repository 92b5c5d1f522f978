package stack

// BBR, version 3 (draft-ietf-ccwg-bbr): it measures the path's bandwidth, round
// trip and how much in flight it takes, and paces at the bandwidth. Names are the
// draft's; the sections quoted are its headings.
//
//	tcp_cc_bbr.go        state, events, Startup and Drain
//	tcp_cc_bbr_probe.go  ProbeBW and ProbeRTT
//	tcp_cc_bbr_model.go  what the path is taken for
//	tcp_cc_bbr_ctl.go    what follows for pacing rate and window
//
// ECN: the draft leaves the answer to the implementation, but wants CE marks
// taken as congestion. A mark, reported at most once a round trip, is what losses
// beyond the threshold would be.

// bbrState is a state of the machine ("State Machine").
type bbrState uint8

const (
	bbrStartup bbrState = iota
	bbrDrain
	bbrDown // ProbeBW_DOWN, and so on
	bbrCruise
	bbrRefill
	bbrUp
	bbrProbeRTT
	numBBRStates
)

// bbrPacingGain and bbrCwndGain are the gains of the states in percent ("Summary
// of Control Behavior in the State Machine"). Those of the window are smaller in
// ProbeBW than the draft's, which are 200, and 225 in UP. Flows that take their
// bandwidth for more than it is fill a queue of a BDP and are held by their windows,
// each in proportion to what it has. With the draft's gains what they reach in UP,
// until the first ACKs of it come back, is nearly twice their share, for all alike:
// who had more keeps it. With 125, and 150 in UP, the excess is small enough for the
// constant part of UP's window (bbrProbeExtra) to count, which is the same for a
// small flow and a large one. docs/congestion.md has what comes of it.
var (
	bbrPacingGain = [numBBRStates]uint64{bbrStartup: 277, bbrDrain: 50, bbrDown: 90, bbrCruise: 100, bbrRefill: 100,
		bbrUp: 125, bbrProbeRTT: 100}
	bbrCwndGain = [numBBRStates]uint64{bbrStartup: 200, bbrDrain: 200, bbrDown: 125, bbrCruise: 125, bbrRefill: 125,
		bbrUp: 150, bbrProbeRTT: 50}
)

// Parameters ("Core Algorithm Design Parameters" and following).
const (
	bbrInf             = 1 << 62
	bbrLossThresh      = 50 // one in so many: 2 %
	bbrBeta            = 70 // percent
	bbrHeadroom        = 15 // percent
	bbrPacingMargin    = 1  // percent
	bbrMinPipe         = 4  // segments
	bbrStartupLosses   = 6  // ranges lost in a round
	bbrProbeLosses     = 2  // likewise, so that a single loss in a small flight is no rate (as in QUICHE's BBR2)
	bbrExtraRounds     = 5  // half the extra_acked filter
	bbrMinRTTFilter    = 10_000_000_000
	bbrProbeRTTEvery   = 5_000_000_000
	bbrProbeRTTLasts   = 200_000_000
	bbrProbeWait       = 2_000_000_000 // and up to a second more
	bbrMaxRenoRounds   = 63
	bbrProbeExtra      = 8 // segments in flight in UP beyond a multiple of the BDP; the draft has 2
	bbrDrainRounds     = 3
	bbrFullBWRounds    = 3
	bbrFullBWGrowth    = 125 // percent
	bbrMaxProbeUpShift = 30
)

// ackPhase is what the ACKs that come now tell about the probing for bandwidth
// ("ProbeBW State").
type ackPhase uint8

const (
	acksInit ackPhase = iota
	acksRefilling
	acksProbeStarting
	acksProbeFeedback
	acksProbeStopping
)

// bbr is a connection's controller. Times are in ns, rates in bytes/s, volumes in
// bytes; counts of delivered bytes wrap at 2^32.
type bbr struct {
	rng   *rng
	state bbrState

	// Rounds.
	roundCount, nextRound uint32 // nextRound: BBR.next_round_delivered
	roundStart            bool
	drainStart            uint32 // round in which Drain began

	// Control parameters.
	pacing    uint64
	priorCwnd uint32
	mss       uint64
	initCwnd  uint64
	seenRTT   bool

	// Long-term model.
	maxBWs     [2]uint64 // of the previous and the current cycle
	inflightLT uint64    // inflight_longterm
	minRTT     int64     // 0: none yet
	minRTTAt   int64

	// Short-term model.
	bw, bwST, inflightST     uint64
	bwLatest, inflightLatest uint64
	lossRound                uint32 // loss_round_delivered
	lossRoundStart           bool
	lossInRound              bool
	lossRanges               uint8 // in this round
	lostEnd                  uint32
	inRecovery, inRTO        bool

	// Aggregation.
	extraAcked         [2]uint64
	extraRounds        uint8
	extraFrom          int64
	extraDelivered     uint64
	fullBW             uint64
	fullBWCount        uint8
	fullBWNow          bool
	fullBWReached      bool
	idleRestart        bool
	probeSample        bool // is_bw_probe_sample
	prevTooHigh        bool
	prevPrecautionary  bool
	phase              ackPhase
	probeUpRounds      uint8
	probeUpAcked       uint64
	probeUpPerInc      uint64
	roundsSinceProbe   uint32
	probeWait          int64
	cycleAt            int64
	probeRTTMin        int64
	probeRTTMinAt      int64
	probeRTTDoneAt     int64 // 0: not set
	probeRTTExpired    bool
	probeRTTRound      bool
	undoTo             bbrState // with undoSet
	undoSet            bool
	undoBWST           uint64
	undoInST, undoInLT uint64
	delivered          uint32 // of the connection, as of the latest ACK
}

func (*bbr) Name() string { return ccNames[ccBBR] }

func (*bbr) Traits() CongestionTraits { return CongestionTraits{OwnsRecovery: true, Rate: true} }

func (b *bbr) PacingRate() uint64 { return b.pacing }

// Init is "Initialization".
func (b *bbr) Init(c *Congestion, now int64) {
	*b = bbr{
		rng: b.rng, mss: uint64(c.MSS), initCwnd: uint64(c.Cwnd),
		minRTTAt: now, probeRTTMinAt: now, extraFrom: now,
		inflightLT: bbrInf, probeUpPerInc: bbrInf,
	}
	b.resetShortTerm()
	b.initPacing(0)
	b.enterStartup()
}

// initPacing is InitPacingRate; srtt 0: unknown.
func (b *bbr) initPacing(srtt int64) {
	if srtt == 0 {
		srtt = 1_000_000
	}
	b.pacing = b.initCwnd * 1e9 / uint64(srtt) * bbrPacingGain[bbrStartup] / 100
}

// OnAck is "Per-ACK Steps".
func (b *bbr) OnAck(c *Congestion, a *AckSample) {
	b.mss = uint64(c.MSS)
	b.delivered = a.Rate.Total
	if b.inRTO && !a.AfterTimeout {
		b.inRTO = false
		b.restoreCwnd(c)
	}
	if !b.seenRTT && a.SRTT != 0 && a.RTT != 0 {
		b.seenRTT = true
		b.initPacing(a.SRTT)
	}
	b.updateLatest(a.Rate)
	b.updateCongestion(c, a.Rate)
	b.updateAggregation(c, a)
	b.checkFullBW(a.Rate)
	b.checkStartupDone(a)
	b.checkDrainDone(a)
	b.updateCycle(c, a)
	b.updateMinRTT(a)
	b.checkProbeRTT(c, a)
	if b.lossRoundStart { // AdvanceLatestDeliverySignals
		b.bwLatest, b.inflightLatest = a.Rate.DeliveryRate, uint64(a.Rate.Delivered)
		b.lossRanges = 0
	}
	b.bw = min(b.maxBW(), b.bwST) // BoundBWForModel
	b.setPacing(bbrPacingGain[b.state])
	b.setCwnd(c, a)
}

// OnEvent takes what happens besides.
func (b *bbr) OnEvent(c *Congestion, e CongestionEvent, a *AckSample) {
	switch e {
	case CongestionLoss: // OnEnterFastRecovery
		b.saveCwnd(c)
		b.saveState()
		b.inRecovery = true
	case CongestionTimeout, CongestionBackoff: // OnEnterRTO
		b.saveCwnd(c)
		b.saveState()
		b.inRTO, b.inRecovery = true, false
		c.Cwnd = c.MSS // all is taken for lost, so that one segment may go
	case CongestionRecovered:
		b.inRecovery = false
		b.restoreCwnd(c)
	case CongestionSpurious:
		b.inRecovery, b.inRTO = false, false
		b.undo(c, a.Now)
	case CongestionECN:
		b.congestionMark(c, a)
	case CongestionIdle:
		b.restart(c, a.Now)
	}
	c.Ssthresh = ssthreshNone
}

// restart is HandleRestartFromIdle ("Restarting From Idle").
func (b *bbr) restart(c *Congestion, now int64) {
	b.idleRestart = true
	b.extraFrom, b.extraDelivered = now, 0
	switch {
	case b.inProbeBW():
		b.setPacing(100)
	case b.state == bbrProbeRTT:
		b.checkProbeRTTDone(c, now)
	}
}

// OnLost is HandleLostPacket ("Probing for Bandwidth In ProbeBW").
func (b *bbr) OnLost(c *Congestion, l *LostSegment) {
	b.noteLoss()
	if uint32(l.Seq) != b.lostEnd && b.lossRanges < 255 {
		b.lossRanges++
	}
	b.lostEnd = uint32(l.Seq) + l.Bytes
	if !b.probeSample || b.lossRanges < bbrProbeLosses || !b.tooHigh(l.Lost, l.InFlight) {
		return
	}
	// InflightAtLoss: how much of it could have been in flight.
	prev := int64(l.InFlight) - int64(l.Bytes)
	lostPrev := int64(l.Lost) - int64(l.Bytes)
	prefix := (prev - lostPrev*bbrLossThresh) / (bbrLossThresh - 1)
	b.handleTooHigh(c, uint64(max(0, prev+prefix)), l.AppLimited, l.Now)
}

// noteLoss is NoteLoss.
func (b *bbr) noteLoss() {
	if !b.lossInRound {
		b.lossRound = b.delivered
		b.saveState()
	}
	b.lossInRound = true
}

// congestionMark takes a CE mark for too much in flight.
func (b *bbr) congestionMark(c *Congestion, a *AckSample) {
	b.noteLoss()
	switch {
	case b.state == bbrStartup && !b.fullBWReached:
		b.startupTooHigh()
	case b.probeSample:
		b.handleTooHigh(c, uint64(a.FlightBefore), false, a.Now)
	}
}

// tooHigh is IsInflightTooHigh.
func (b *bbr) tooHigh(lost, inFlight uint32) bool {
	return uint64(lost)*bbrLossThresh > uint64(inFlight)
}

// Startup and Drain.

func (b *bbr) enterStartup() { b.state = bbrStartup }

// checkFullBW is CheckFullBWReached ("Exiting Acceleration Based on Bandwidth
// Plateau").
func (b *bbr) checkFullBW(r *RateSample) {
	if b.fullBWNow || !b.roundStart || r.AppLimited || r.DeliveryRate == 0 {
		return
	}
	if r.DeliveryRate*100 >= b.fullBW*bbrFullBWGrowth {
		b.resetFullBW()
		b.fullBW = r.DeliveryRate
		return
	}
	b.fullBWCount++
	if b.fullBWNow = b.fullBWCount >= bbrFullBWRounds; b.fullBWNow {
		b.fullBWReached = true
	}
}

func (b *bbr) resetFullBW() { b.fullBW, b.fullBWCount, b.fullBWNow = 0, 0, false }

// checkStartupDone is CheckStartupDone, with "Exiting Startup Based on Packet
// Loss".
func (b *bbr) checkStartupDone(a *AckSample) {
	if b.state != bbrStartup {
		return
	}
	if b.lossRoundStart && a.Recovery && b.lossRanges >= bbrStartupLosses && b.tooHigh(a.Rate.Lost, a.Rate.InFlight) {
		b.startupTooHigh()
	}
	if b.fullBWReached {
		b.state, b.drainStart = bbrDrain, b.roundCount
	}
}

// startupTooHigh ends Startup: this much was too much.
func (b *bbr) startupTooHigh() {
	b.undoTo, b.undoSet = bbrStartup, true
	b.fullBWReached, b.fullBWNow = true, true
	b.inflightLT = max(b.bdp(100), b.inflightLatest)
}

// checkDrainDone is CheckDrainDone.
func (b *bbr) checkDrainDone(a *AckSample) {
	if b.state == bbrDrain && (uint64(a.Flight) <= b.inflight(100) || b.roundCount > b.drainStart+bbrDrainRounds) {
		b.startDown(a.Now)
	}
}
