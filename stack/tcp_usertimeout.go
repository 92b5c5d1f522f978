package stack

import (
	"time"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// The user timeout (RFC 9293 3.8.3, RFC 5482): how long data may wait for its
// acknowledgement, or for a closed window, before the connection is given up.

// The bounds within which a peer's user timeout is taken over (RFC 5482 3.1:
// L_LIMIT and U_LIMIT).
const (
	userTimeoutLeast = 100 * time.Second // RFC 1122 4.2.3.5: R2 is at least that
	userTimeoutMost  = 24 * time.Hour
)

// SetUserTimeout gives the connection up when the peer has acknowledged nothing
// for so long (TCP_USER_TIMEOUT); it then takes the place of SetRetries. 0 is
// none, negative the stack's configuration. A connection that advertises it
// tells the peer.
func (t *TCP) SetUserTimeout(d time.Duration) {
	k := t.knobs()
	switch {
	case d < 0:
		k.userTimeout = 0
	case d == 0:
		k.userTimeout = -1
	default:
		k.userTimeout = int64(d)
	}
	k.adopted = 0 // RFC 5482 3.1: what the user sets is not changed by the peer
	if t.state == StateEstablished || t.state == StateCloseWait {
		t.sendUserTimeout()
	}
	if k.stalledAt != 0 {
		t.armUserTimeout(k)
	}
}

// SetUserTimeoutOption has the connection send the user timeout option, and
// take over what the peer's says as long as the user has set none (RFC 5482 3).
func (t *TCP) SetUserTimeoutOption(on bool) {
	k := t.knobs()
	if k.advertise = -1; on {
		k.advertise = 1
	}
}

// userTimeout is how long the peer may be silent in ns; 0: no bound.
func (t *TCP) userTimeout() int64 {
	d := int64(t.s.cfg.TCP.UserTimeout)
	if k := t.ownKnobs(); k != nil {
		switch {
		case k.userTimeout < 0:
			d = 0
		case k.userTimeout > 0:
			d = k.userTimeout
		case k.adopted != 0:
			d = k.adopted
		}
	}
	return d
}

// userTimeoutOption reports whether the option is used.
func (t *TCP) userTimeoutOption() bool {
	if k := t.ownKnobs(); k != nil && k.advertise != 0 {
		return k.advertise > 0
	}
	return t.s.cfg.TCP.UserTimeoutOption
}

// advertisesUserTimeout reports whether a SYN carries the option.
func (t *TCP) advertisesUserTimeout() bool {
	return t.userTimeoutOption() && t.userTimeout() != 0
}

// stalled notes that the peer owes an acknowledgement since the given time: the
// retransmission timer has run out, or the window has closed.
func (t *TCP) stalled(since int64) {
	if t.userTimeout() == 0 {
		return
	}
	k := t.knobs()
	k.stalledAt = since
	t.armUserTimeout(k)
}

func (t *TCP) armUserTimeout(k *tcpKnobs) {
	d := t.userTimeout()
	if d == 0 {
		k.userAt = 0
		return
	}
	k.userAt = k.stalledAt + d
	t.arm(max(k.userAt, t.s.now+1))
}

// userTimeoutFired ends the connection unless the peer has answered since.
func (t *TCP) userTimeoutFired() {
	if t.nrtx == 0 && t.flags&tfPersist == 0 {
		return
	}
	t.s.stats.TCP.UserTimeouts++
	t.abandon(ErrTimeout, t.state != StateSynSent)
}

// takeUserTimeout takes the peer's option (RFC 5482 3.1): the longer of the two
// counts, within bounds, and only as long as our user has set none.
func (t *TCP) takeUserTimeout(o *header.TCPOptions) {
	if !o.HasUserTimeout || !t.userTimeoutOption() {
		return
	}
	k := t.knobs()
	if k.userTimeout != 0 {
		return
	}
	unit := time.Second
	if o.UserTimeout&header.UserTimeoutMinutes != 0 {
		unit = time.Minute
	}
	d := time.Duration(o.UserTimeout&^header.UserTimeoutMinutes) * unit
	d = min(userTimeoutMost, max(t.s.cfg.TCP.UserTimeout, d, userTimeoutLeast))
	k.adopted = int64(d)
}

// putUserTimeout writes the option to b and returns its length.
func (t *TCP) putUserTimeout(b []byte) int {
	d := time.Duration(t.userTimeout())
	v := uint16(min((d+time.Second-1)/time.Second, 0x7fff))
	if d > 0x7fff*time.Second {
		v = header.UserTimeoutMinutes | uint16(min((d+time.Minute-1)/time.Minute, 0x7fff))
	}
	return header.PutUserTimeout(b, v)
}

// sendUserTimeout tells the peer of a user timeout that was set while the
// connection was open (RFC 5482 3).
func (t *TCP) sendUserTimeout() {
	if !t.advertisesUserTimeout() {
		return
	}
	var opts [header.TCPTimestampLen + header.TCPUserTimeoutLen]byte
	n := 0
	if t.flags&tfTimestamps != 0 {
		n = header.PutTimestamp(opts[:], t.s.tsNow+t.tsOffset, t.tsRecent)
	}
	n += t.putUserTimeout(opts[n:])
	t.sendWithOptions(t.sndMax, header.TCPAck, opts[:n])
}

// sendWithOptions sends a segment without data that carries just these options,
// and is not kept.
func (t *TCP) sendWithOptions(seq header.Seq, flags header.TCPFlags, opts []byte) {
	if !t.freshPath() {
		return
	}
	p := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if p == nil {
		t.s.stats.Drops[DropNoBuf]++
		return
	}
	n := header.TCPLen + len(opts)
	p.AddHeader(n)
	b := p.Payload()
	h := (*header.TCP)(b)
	h.Encode(&header.TCPFields{SrcPort: t.lport, DstPort: t.rport, Seq: seq, Ack: t.rcvNxt, Flags: flags,
		HdrLen: uint8(n), Window: t.windowField(false)})
	copy(b[header.TCPLen:], opts)
	t.acked()
	h.SetChecksum(header.PseudoHeader(t.local, t.remote, header.ProtoTCP, uint32(n)))
	p.Flags |= pbuf.TxTCPCsum
	p.L4Len = uint8(n)
	t.s.stats.TCP.OutSegs++
	t.ipOutput(p)
}
