package stack

import "github.com/shardstack/shardstack/header"

// Explicit congestion notification (RFC 3168; RFC 8257 for controllers that want
// each mark). A connection that has agreed on it has tfECN; all others pay a test
// of that flag. Its state is a byte of the cold part:
//
//	out  ecnMark   ECT on new data; ECE while a mark is to be told, CWR once
//	in   ecnData   marks of data, the peer's CWR
//	in   ecnAck    the peer's ECE: CongestionECN once a round trip

// ECNMode says whether connections use ECN.
type ECNMode uint8

const (
	// ECNPassive: if the peer asks for it, as Linux does by default.
	ECNPassive ECNMode = iota
	// ECNOn: ask for it.
	ECNOn
	// ECNOff: never.
	ECNOff
	numECNModes
)

// ecnBits are a connection's mode and state.
type ecnBits uint8

const (
	ecnModeMask ecnBits = 3               // ECNMode+1; 0: the stack's
	ecnEcho     ecnBits = 1 << (iota + 1) // ECE goes out with every segment
	ecnQueueCWR                           // CWR goes out with the next new data
	ecnReduced                            // the window was reduced for what is before cold.ecnSeq
	ecnCE                                 // DCTCP.CE: the latest data was marked (RFC 8257 3.2)
	ecnPrecise                            // each mark is echoed: the controller's wish
)

// SetECN says whether the connection, or a listener's connections, use ECN. It
// must be called before Connect or Listen; ErrIsConn afterwards, ErrVal for an
// unknown mode.
func (t *TCP) SetECN(m ECNMode) error {
	if t.state != StateClosed {
		return ErrIsConn
	}
	if m >= numECNModes {
		return ErrVal
	}
	c := t.coldPart()
	c.ecn = c.ecn&^ecnModeMask | ecnBits(m+1)
	return nil
}

// ECN reports whether the connection has agreed on ECN.
func (t *TCP) ECN() bool { return t.flags&tfECN != 0 && t.state >= StateEstablished }

// ecnAsk makes the SYN that will be sent ask for ECN, if it is to
// (RFC 3168 6.1.1), or a controller needs it.
func (t *TCP) ecnAsk() {
	if t.ecnMode() == ECNOn || t.cold != nil && t.cold.ecn&ecnPrecise != 0 {
		t.useECN()
	}
}

// ecnSyn takes what the peer's SYN or SYN-ACK says (6.1.1).
func (t *TCP) ecnSyn(in *inSegment) {
	if t.state == StateSynSent && in.flags&header.TCPAck != 0 {
		// A SYN-ACK with both is from a host that reflects what it does not
		// know (6.1.1.1).
		if in.flags&(header.TCPEce|header.TCPCwr) != header.TCPEce {
			t.flags &^= tfECN
		}
		return
	}
	if t.flags &^= tfECN; t.ecnGrants(in) {
		t.useECN()
	}
}

// useECN sets tfECN, with which there is a cold part.
func (t *TCP) useECN() {
	t.coldPart()
	t.flags |= tfECN
}

// ecnMode is the connection's mode, or its stack's.
func (t *TCP) ecnMode() ECNMode {
	if t.cold != nil && t.cold.ecn&ecnModeMask != 0 {
		return ECNMode(t.cold.ecn&ecnModeMask) - 1
	}
	return t.s.cfg.TCP.ECN
}

// ecnGrants reports whether the SYN in work asks for ECN and gets it. One in an
// ECN-capable packet is not to be trusted (6.1.1).
func (t *TCP) ecnGrants(in *inSegment) bool {
	const both = header.TCPEce | header.TCPCwr
	return in.flags&both == both && t.ecnMode() != ECNOff && in.ipECN() == header.ECNNotECT
}

// ipECN is the ECN field of the packet in work, payload at the TCP header.
func (in *inSegment) ipECN() uint8 {
	n := 0
	if in.p != nil {
		n = int(in.p.L3Len)
	}
	if n == 0 || !in.p.AddHeaderForce(n) {
		return header.ECNNotECT
	}
	b := in.p.Payload()
	f := b[1]
	if b[0]>>4 == 6 {
		f >>= 4
	}
	in.p.RemoveHeader(n)
	return f & header.ECNMask
}

// ecnMark gives the flags that ECN adds to a queued segment, and makes its packet
// ECN-capable if it may be: new data may, but not retransmissions and window
// probes (6.1.5, 6.1.6).
func (t *TCP) ecnMark(g *tcpSeg) (f header.TCPFlags) {
	if g.flags&header.TCPSyn != 0 {
		switch {
		case t.state != StateSynSent:
			f = header.TCPEce
		case g.tx == 0: // some paths drop such SYNs: the next ones do without (6.1.1.1)
			f = header.TCPEce | header.TCPCwr
		}
		return f
	}
	if t.cold.ecn&ecnEcho != 0 {
		f = header.TCPEce
	}
	if g.n != 0 && g.tx == 0 && t.flags&tfPersist == 0 {
		t.tos = t.tos&^header.ECNMask | header.ECNECT0
		if t.cold.ecn&ecnQueueCWR != 0 { // 6.1.2
			t.cold.ecn &^= ecnQueueCWR
			f |= header.TCPCwr
		}
	}
	return f
}

// ecnData takes data before it is delivered (6.1.3).
func (t *TCP) ecnData(in *inSegment) {
	ce := in.ipECN() == header.ECNCE
	if t.cold.ecn&ecnPrecise != 0 {
		t.ecnState(ce)
		return
	}
	if in.flags&header.TCPCwr != 0 {
		t.cold.ecn &^= ecnEcho
	}
	if ce {
		t.cold.ecn |= ecnEcho
		t.flags |= tfAckNow
	}
}

// ecnState is the state machine of RFC 8257 3.2: an ACK is for segments that were
// all marked or all not.
func (t *TCP) ecnState(ce bool) {
	if ce == (t.cold.ecn&ecnCE != 0) {
		return
	}
	if t.ackPending != 0 {
		t.sendEmpty(t.sndMax, header.TCPAck)
	}
	t.cold.ecn &^= ecnCE | ecnEcho
	if ce {
		t.cold.ecn |= ecnCE | ecnEcho
	}
	t.flags |= tfAckNow
}

// ecnAck takes the ECE of the segment in work (6.1.2). True: the window was
// reduced less than a round trip ago, so that it must not grow.
func (t *TCP) ecnAck(a *AckSample) bool {
	if t.cold.ecn&ecnReduced != 0 && t.sndUna.GreaterEq(t.cold.ecnSeq) {
		t.cold.ecn &^= ecnReduced
	}
	if t.s.tcp.in.flags&(header.TCPEce|header.TCPSyn) != header.TCPEce {
		return t.cold.ecn&ecnReduced != 0
	}
	a.ECE = a.Delivered
	if t.cold.ecn&ecnReduced == 0 && !a.Recovery && !a.AfterTimeout && t.flags&(tfRecovery|tfRTO) == 0 {
		t.ccEvent(CongestionECN, a)
	}
	return t.cold.ecn&ecnReduced != 0
}

// ecnEvent notes that the controller reduces the window. False: it did so for
// this flight already, and must not again.
func (t *TCP) ecnEvent(e CongestionEvent) bool {
	switch e {
	case CongestionLoss, CongestionTimeout, CongestionECN:
		if e == CongestionLoss && t.cold.ecn&ecnReduced != 0 && t.sndUna.Less(t.cold.ecnSeq) {
			return false
		}
		t.cold.ecn |= ecnReduced | ecnQueueCWR
		t.cold.ecnSeq = t.sndMax
	case CongestionSpurious:
		t.cold.ecn &^= ecnReduced | ecnQueueCWR
	}
	return true
}
