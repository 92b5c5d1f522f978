package stack

import (
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// ConnectWrite is Connect with the first data to send, which goes with the SYN if
// SetFastOpen or the configuration wants it and there is a cookie of the server
// (RFC 7413 4.2.2): as much as fits a segment, FastOpenRoom. Otherwise, and with the
// rest, it is Connect and then Write; the SYN asks for a cookie if there is none. A
// server may get data of a SYN twice: it must bear being asked twice (RFC 7413 2.1).
// b is the caller's again. n is how many bytes of b were taken: no more than SndBuf,
// and of the part beyond the SYN all or nothing if the pool is empty. Errors as for Connect; n is 0 then, unless only
// the sending failed (ErrMem), which a timer repeats.
func (t *TCP) ConnectWrite(to netip.AddrPort, b []byte, fn ConnectedFunc) (n int, err error) {
	if err := t.open(to, fn); err != nil {
		return 0, err
	}
	b = b[:min(len(b), t.SndBuf())]
	n, sent := t.fastConnect(b)
	if !sent {
		err = t.Output()
	}
	if rest := b[n:]; len(rest) > 0 && t.Write(rest, 0) == nil {
		n += len(rest)
	}
	return n, err
}

// FastOpenRoom is how many bytes of data ConnectWrite would send with a SYN to that
// address now; 0: none.
func (t *TCP) FastOpenRoom(to netip.Addr) int {
	if t.s == nil || t.state != StateClosed {
		return 0
	}
	remote := t.s.peerAddr(to)
	if remote.IsZero() || !t.family().takes(remote) {
		return 0
	}
	way, err := t.s.pathFor(t.local, remote)
	if err != nil {
		return 0
	}
	e := t.s.fastFind(way.src, remote)
	_, connect, noCookie := t.fastOptions()
	if !connect || !noCookie && (e == nil || e.cookieLen == 0) || t.s.fastPauses(e) {
		return 0
	}
	return t.fastRoom(e, way.nif, remote)
}

// fastRoom is how much data fits a SYN: the server's MSS, as the latest SYN-ACK has
// told it, less all options that there can be (RFC 7413 4.2.2).
func (t *TCP) fastRoom(e *fastServer, nif *Netif, remote header.Addr) int {
	headers := ipLen(remote) + header.TCPLen
	mss := min(t.maxMSSBy(nif, remote), t.s.pathMTU(nif, remote)-headers)
	if e != nil && e.mss != 0 {
		mss = min(mss, int(e.mss))
	}
	if d := t.s.tcp.dests.find(remote); d != nil && d.mtu != 0 {
		mss = min(mss, int(d.mtu)-headers)
	}
	return max(mss-header.TCPMaxOptions, 0)
}

// fastPauses reports whether a server, nil being an unknown one, is left alone now.
func (s *Stack) fastPauses(e *fastServer) bool {
	return s.now < s.tcp.fast.pausedUntil || e != nil && s.now < e.pausedUntil
}

// fastConnect chooses what the SYN that is queued has of Fast Open, and queues as much
// of b as goes with it. n is how much that is; sent: it has gone out.
func (t *TCP) fastConnect(b []byte) (n int, sent bool) {
	s := t.s
	_, connect, noCookie := t.fastOptions()
	if !connect {
		return 0, false
	}
	e := s.fastFind(t.local, t.remote)
	if s.fastPauses(e) {
		s.stats.TCP.FastOpenPaused++
		return 0, false
	}
	own := t.optionsLen(true)
	f := t.fastBegin()
	switch {
	case noCookie:
	case e != nil && e.cookieLen != 0:
		f.cookieLen, f.cookie, f.exp = int8(e.cookieLen), e.cookie, e.exp
	default:
		f.cookieLen, f.exp = 0, e != nil && e.tryExp == fastTryExp
		t.cold.fastInfo = fastInfo(FastOpenNoCookie)
	}
	if own+t.fastOptionLen()-t.packedLen() > header.TCPMaxOptions {
		f.cookieLen = -1
		s.stats.TCP.FastOpenNoRoom++
		return 0, false
	}
	if f.cookieLen == 0 {
		return 0, false
	}
	all := len(b)
	b = b[:min(all, t.fastRoom(e, t.nif, t.remote))]
	if len(b) == 0 {
		return 0, false
	}
	p := t.newSegment(b, t.sndLbb, false)
	if p == nil {
		s.stats.TCP.FastOpenNoRoom++
		return 0, false
	}
	t.pushSeg(p)
	var flags WriteFlags
	if len(b) < all {
		flags = WriteMore
	}
	t.written(len(b), flags)
	if sent = t.fastSyn(); !sent {
		s.stats.TCP.FastOpenNoRoom++
	}
	return len(b), sent
}

// fastSyn sends the SYN with the data that is queued behind it, as one segment that
// is not kept: if only the SYN is acknowledged, the data goes out again as if it had
// not been sent. False: not now; the SYN goes alone.
func (t *TCP) fastSyn() bool {
	syn := t.sndq.Head()
	data := syn.QNext()
	g, d := seg(syn), seg(data)
	if !t.freshPath() || t.nif.holds() {
		return false
	}
	p := t.s.alloc(pbuf.LayerTransport, int(d.n), pbuf.KindRAM)
	if p == nil {
		return false
	}
	data.CopyPartial(p.Payload(), 0)
	flags, tos := g.flags, t.tos
	if t.flags&tfECN != 0 {
		flags |= t.ecnMark(g)
	}
	both := tcpSeg{seq: g.seq, n: d.n, flags: flags, sum: d.sum, sumOK: d.sumOK}
	if !t.sendPlain(p, g.seq, flags, &both) {
		if !t.putTCPHeader(p, g.seq, flags, &both) {
			t.tos = tos
			p.Free()
			return false
		}
		t.ipOutput(p)
	}
	t.tos = tos
	for q := syn; q != nil; q = q.QNext() {
		t.bookSent(seg(q))
		t.sentNew(q, seg(q))
	}
	if t.flags&tfMeter != 0 {
		t.cold.meter.segsOut-- // the two were one
	}
	t.cold.fast.data = d.n
	t.cold.fastInfo |= fastTried
	t.setRtx(t.s.now + t.rtt.rto())
	return true
}

// fastAcked takes the SYN-ACK of a Fast Open. It calls the user in the order in which
// things happen: connected, then sent.
func (t *TCP) fastAcked(in *inSegment) {
	retried := t.nrtx != 0
	sent, room := t.sent, t.sndBuf
	t.sent = nil
	t.ackAdvance(in.ack, in.opts.TSEcr)
	t.sent, t.sndWl2 = sent, in.ack
	n := t.sndBuf - room
	t.sndBuf = room // until the user is told
	if f := t.cold.fast; f.cookieLen >= 0 || f.data != 0 {
		t.fastLearn(in, f, retried)
	}
	t.fastAnswer(retried)
	if !t.callOpened() || n == 0 {
		return
	}
	t.sndBuf += n
	if t.sent != nil && t.flags&tfDetached == 0 {
		_ = t.sent(t.arg, t, int(n))
	}
}

// fastOver ends Fast Open on a connection whose SYN was acknowledged in another way:
// by the last step of a handshake, or of a simultaneous open.
func (t *TCP) fastOver() {
	if t.cold.fast.server {
		t.fastDone()
	} else {
		t.fastAnswer(false)
	}
}

// fastAnswer takes the acknowledgement of our SYN, which ends Fast Open; retried: one
// had timed out. What went with it and is not acknowledged is sent as if it had not
// been (RFC 7413 4.2.2).
func (t *TCP) fastAnswer(retried bool) {
	data, st := t.cold.fast.data, &t.s.stats.TCP
	t.fastDone()
	if data == 0 {
		return
	}
	info := &t.cold.fastInfo
	switch {
	case t.sndUna.GreaterEq(t.iss.Add(1 + data)):
		st.FastOpenActive++
		*info |= fastSynData
		if t.flags&tfMeter != 0 {
			t.cold.meter.delivered, t.cold.meter.seen = 1, 1 // likewise
		}
		return
	case retried:
		*info |= fastInfo(FastOpenSynRetransmitted)
	default:
		*info |= fastInfo(FastOpenNotAcked)
	}
	st.FastOpenActiveFail++
	t.rewind()
	t.rtxAt, t.flags = 0, t.flags&^(tfTLP|tfReoTimer)
}

// fastLearn remembers what a SYN-ACK says of its server (RFC 7413 4.1.3).
func (t *TCP) fastLearn(in *inSegment, f *tcpFast, retried bool) {
	s := t.s
	got := f.cookieLen >= 0 && in.opts.HasFastOpen && in.opts.FastOpenLen != 0
	e := s.fastServer(t.local, t.remote)
	if e.mss = in.opts.MSS; e.mss == 0 {
		e.mss = defaultMSS(t.remote)
	}
	switch {
	case got:
		c := in.fastCookie()
		e.cookieLen, e.exp = uint8(copy(e.cookie[:], c)), in.opts.FastOpenExp
		s.stats.TCP.FastOpenCookiesRecv++
	case f.cookieLen == 0 && !retried && e.cookieLen == 0:
		// It may know only the other option (RFC 7413 9).
		next := fastTryExp
		if f.exp {
			next = fastTryNoMore
		}
		e.tryExp = max(e.tryExp, next)
	}
	switch taken := t.sndUna.Sub(t.iss) - 1; {
	case f.data == 0:
	case taken != 0: // even a part shows that nothing on the path minds
		e.fails, e.pausedUntil = 0, 0
	case !got: // RFC 7413 4.1.3.1; with a cookie it only was an old one
		e.failed(s)
	}
}

// packedLen is what the options of a SYN with a long cookie save, with the SACK
// permitted option in the place of the timestamp's padding, so that they fit.
func (t *TCP) packedLen() int {
	cfg := &t.s.cfg.TCP
	if t.fastOptionLen() > 16 && t.offers(tfTimestamps, cfg.NoTimestamps) && t.offers(tfSack, cfg.NoSACK) {
		return header.TCPSACKPermittedLen
	}
	return 0
}

// fastTooBig takes the news that the SYN that is out is too long for the path: it
// goes again at once, without data and cookie (RFC 7413 4.1.3.1). False: it is not
// such a SYN.
func (t *TCP) fastTooBig(mtu int) bool {
	if t.flags&tfFast == 0 || t.state != StateSynSent || t.cold.fast.data == 0 {
		return false
	}
	t.s.stats.TCP.PathMTULowered++
	t.s.learnMTU(t.remote, mtu, false)
	t.cold.fast.cookieLen = -1
	t.retransmitHead()
	return true
}
