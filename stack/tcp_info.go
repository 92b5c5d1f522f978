package stack

import (
	"time"

	"github.com/shardstack/shardstack/header"
)

// TCPInfo describes a connection, in the terms of RFC 9293, 5681 and 6298.
type TCPInfo struct {
	State    TCPState
	MSS      int // payload bytes of a full segment
	SndWnd   uint32
	RcvWnd   uint32 // RCV.WND: what the peer was told that it may send
	Cwnd     uint32
	Ssthresh uint32
	// Unacked and Unsent are bytes, of data and control.
	Unacked, Unsent uint32
	SRTT, RTTVar    time.Duration
	MinRTT, RTO     time.Duration
	Backoff         int // timeouts in a row
	Recovering      bool
	Timestamps      bool
	WScaleSnd       int // -1: not agreed on
	WScaleRcv       int
	OutOfOrderBytes uint32

	// The rest has the meaning that Linux's struct tcp_info gives it.
	CAState        CAState
	Retransmits    int // of the segment in front, in a row
	Probes         int // window and keepalive probes without an answer
	SACK, ECN      bool
	ATO            time.Duration // how long an ACK may wait
	AdvMSS         int           // the MSS that we announce
	PMTU           int           // packet size that the MSS stands for
	Sacked         uint32        // bytes in flight that the peer has, out of order
	Lost           uint32        // bytes marked lost
	Retrans        uint32        // bytes sent again and not acknowledged
	RcvSsthresh    uint32        // the window when the user has taken everything
	RcvRTT         time.Duration // the receiver's measurement; 0: none
	RcvSpace       uint32        // the most that the user took in a round trip; 10 MSS to begin with
	PacingRate     uint64        // bytes/s; 0: not paced
	MaxPacingRate  uint64        // 0: no bound
	Reordering     bool          // the path was seen to reorder
	Reorder        int           // by how many segments at the most, at least 3
	SndBuf, RcvBuf uint32
	UserTimeout    time.Duration // 0: none
	// SynData: data of our SYN was acknowledged, or data of the peer's taken
	// (TCPI_OPT_SYN_DATA); FastOpenFail: why not.
	SynData      bool
	FastOpenFail FastOpenFail

	// Data, without SYN and FIN; BytesSent has what was sent again, too. Without a
	// meter (SetMeter) BytesSent, BytesAcked and BytesReceived wrap at 2^32.
	BytesSent, BytesRetrans, BytesAcked, BytesReceived uint64

	TotalRetrans       uint32 // segments sent again, SYN included
	ReordSeen          uint32 // reordering events
	DSACKDups          uint32 // segments that the peer had twice (RFC 2883)
	OutOfOrderPackets  uint32 // segments received out of order
	TotalRTO           uint32 // timeouts
	TotalRTORecoveries uint32 // episodes of timeouts, and how long those took that have ended
	TotalRTOTime       time.Duration

	// Without a meter: since the segment in front was sent, 0 if nothing is in
	// flight.
	LastDataSentAgo time.Duration

	// Only with a meter; 0 without.
	SegsIn, SegsOut         uint32
	DataSegsIn, DataSegsOut uint32
	Delivered, DeliveredCE  uint32 // segments that have arrived, SYN and FIN included; of them, reported as marked
	RcvMSS                  int    // the longest segment received, 536 to begin with
	DeliveryRate            uint64 // bytes/s; 0: not known
	DeliveryRateAppLimited  bool   // the application had left the window idle: it is a lower bound
	LastDataRecvAgo         time.Duration
	LastAckRecvAgo          time.Duration
	// BusyTime is how long there was something to send or in flight; RwndLimited
	// and SndbufLimited say for how much of it the peer's window, or too small a
	// send buffer, held it back.
	BusyTime, RwndLimited, SndbufLimited time.Duration
}

// CAState is where loss recovery is, in Linux's terms (tcpi_ca_state).
type CAState uint8

// The states; their values are Linux's.
const (
	CAOpen     CAState = 0
	CADisorder CAState = 1 // something came out of order, or twice
	CACWR      CAState = 2 // the window was reduced for ECN, less than a round trip ago
	CARecovery CAState = 3
	CALoss     CAState = 4 // after a timeout
)

// caState derives it from the connection's conditions.
func (t *TCP) caState() CAState {
	switch {
	case t.flags&tfRTO != 0:
		return CALoss
	case t.flags&tfRecovery != 0:
		return CARecovery
	case t.flags&tfECN != 0 && t.cold.ecn&ecnReduced != 0 && t.sndUna.Less(t.cold.ecnSeq):
		return CACWR
	case t.dupAcks != 0 || t.flags&tfLoss != 0 && t.cold.loss.sacked != 0:
		return CADisorder
	}
	return CAOpen
}

// moreInfo fills in what is beyond RFC 9293, 5681 and 6298.
func (t *TCP) moreInfo(i *TCPInfo) {
	i.CAState = t.caState()
	i.Retransmits = int(t.nrtx)
	i.SACK, i.ECN = t.flags&tfSack != 0, t.flags&tfECN != 0
	i.ATO = max(0, time.Duration(t.delackTime()))
	i.AdvMSS = t.maxMSS()
	i.PMTU = int(t.mss) + ipLen(t.remote) + header.TCPLen
	if i.Timestamps {
		i.PMTU += header.TCPTimestampLen
	}
	i.RcvSsthresh = t.fullWindow()
	i.RcvSpace = min(i.RcvSsthresh, 10*uint32(i.AdvMSS))
	i.RcvBuf, i.SndBuf = t.recvBuf(), t.sendBufSize()
	i.Reordering = t.flags&tfReordered != 0
	i.UserTimeout = time.Duration(t.userTimeout())
	if t.state >= StateEstablished {
		// Neither SYN nor FIN is data.
		i.BytesAcked = uint64(t.sndUna.Sub(t.iss) - 1)
		if t.finAcked() {
			i.BytesAcked--
		}
		i.BytesReceived = uint64(t.rcvNxt.Sub(t.irs) - 1)
		switch t.state {
		case StateCloseWait, StateClosing, StateLastAck, StateTimeWait:
			i.BytesReceived--
		}
	}
	if p := t.sndq.Head(); p != nil && seg(p).tx != 0 {
		i.LastDataSentAgo = time.Duration(t.s.now - seg(p).sentAt)
	}
	if t.flags&tfPersist != 0 {
		i.Probes = int(t.rtt.backoff)
	}
	t.historyInfo(i)
	c := t.cold
	if c == nil {
		return
	}
	if t.flags&tfMeter != 0 {
		c.meter.info(t, i)
	}
	if t.flags&tfKeepAlive != 0 {
		i.Probes = c.keepSent
	}
	i.SynData, i.FastOpenFail = c.fastInfo&fastSynData != 0, FastOpenFail(c.fastInfo&fastFailMask)
	if t.flags&tfLoss != 0 {
		i.Sacked, i.Lost, i.Retrans = c.loss.sacked, c.loss.lost, c.loss.resent
	}
	if c.tune != nil {
		i.RcvRTT = time.Duration(c.tune.rtt)
		i.RcvSpace = max(i.RcvSpace, c.tune.space)
	}
	if t.flags&tfOwnCC != 0 {
		i.PacingRate, i.MaxPacingRate = c.own.pace.rate, c.own.pace.cap
	}
}

// announced is what is left of the window that the peer was told of.
func (t *TCP) announced() uint32 {
	if t.rcvAnnEdge.Less(t.rcvNxt) {
		return 0
	}
	return t.rcvAnnEdge.Sub(t.rcvNxt)
}

// Info is a snapshot of the connection's state (TCP_INFO).
func (t *TCP) Info() TCPInfo {
	us := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	i := TCPInfo{
		State: t.state, MSS: int(t.mss), SndWnd: t.sndWnd, RcvWnd: t.announced(),
		Cwnd: t.cc.Cwnd, Ssthresh: t.cc.Ssthresh,
		Unacked: t.sndMax.Sub(t.sndUna), Unsent: t.sndLbb.Sub(t.sndMax),
		SRTT: us(t.rtt.srtt8 / 8), RTTVar: us(t.rtt.rttvar4 / 4), MinRTT: us(t.rtt.minRTT),
		RTO: time.Duration(t.rtt.rto()), Backoff: int(t.rtt.backoff),
		Recovering: t.flags&tfRecovery != 0, Timestamps: t.flags&tfTimestamps != 0,
		WScaleSnd: -1, WScaleRcv: -1, OutOfOrderBytes: t.ooBytes,
	}
	if t.flags&tfWScale != 0 {
		i.WScaleSnd, i.WScaleRcv = int(t.sndScale), int(t.rcvScale)
	}
	t.moreInfo(&i)
	return i
}

// EachTCP calls fn for every PCB in use, listeners and TIME-WAIT included; fn
// may close or abort it.
func (s *Stack) EachTCP(fn func(*TCP)) {
	for id := range s.tcp.used {
		if t := s.pcb(id); t.s != nil {
			fn(t)
		}
	}
}
