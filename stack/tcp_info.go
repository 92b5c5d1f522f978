package stack

import "time"

// TCPInfo describes a connection, in the terms of RFC 9293, 5681 and 6298.
type TCPInfo struct {
	State    TCPState
	MSS      int // payload bytes of a full segment
	SndWnd   uint32
	RcvWnd   uint32
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
}

// Info is a snapshot of the connection's state (TCP_INFO).
func (t *TCP) Info() TCPInfo {
	us := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	i := TCPInfo{
		State: t.state, MSS: int(t.mss), SndWnd: t.sndWnd, RcvWnd: t.rcvWnd,
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
