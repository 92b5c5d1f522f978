package stack

import (
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// Bind sets the local end of a closed PCB (tcp_bind). The zero netip.Addr is any
// address of either family, 0.0.0.0 any of IPv4, :: any of IPv6. Port 0 leaves the
// port to Connect or Listen. ErrUse: another PCB is bound to it; ErrVal: the address
// is not ours.
func (t *TCP) Bind(ap netip.AddrPort) error {
	if t.state != StateClosed || t.s == nil {
		return ErrIsConn
	}
	s := t.s
	local, family := s.bindAddr(ap.Addr())
	if !local.IsZero() && !s.isLocal(local) {
		return ErrVal
	}
	if ap.Port() != 0 && s.portTaken(local, family, ap.Port()) {
		return ErrUse
	}
	t.unlinkPort()
	t.local, t.lport = local, ap.Port()
	if t.cold != nil || family != familyAny && local.IsZero() {
		t.coldPart().family = family
	}
	if t.lport != 0 {
		t.linkPort()
	}
	return nil
}

// Listen turns a bound PCB into a listener (tcp_listen_with_backlog). backlog
// bounds the connections that are not established yet or that the user holds
// back with BacklogDelayed; 0 is 255. Port 0 picks a free port.
func (t *TCP) Listen(backlog int) error {
	if t.state != StateClosed || t.s == nil {
		return ErrIsConn
	}
	if backlog < 0 {
		return ErrVal
	}
	def(&backlog, 255)
	if t.lport == 0 {
		if t.lport = t.s.freePort(t.local, t.family()); t.lport == 0 {
			return ErrNoPort
		}
		t.linkPort()
	}
	if t.cold == nil || !t.cold.bound {
		t.linkPort()
	}
	t.cold.backlog = backlog
	t.fastListener()
	t.setState(StateListen)
	return nil
}

// SetBacklog changes a listener's backlog (tcp_backlog_set).
func (t *TCP) SetBacklog(n int) error {
	if t.state != StateListen || n < 1 {
		return ErrVal
	}
	t.cold.backlog = n
	return nil
}

// BacklogDelayed, called from AcceptFunc, keeps the connection counted against
// its listener's backlog until BacklogAccepted (tcp_backlog_delayed,
// tcp_backlog_accepted).
func (t *TCP) BacklogDelayed(listener *TCP) {
	if t.listener == nil && listener != nil && listener.state == StateListen {
		t.listener = listener
		listener.cold.pending++
	} else if t.early() {
		t.cold.fast.held = true
	}
}

// BacklogAccepted ends what BacklogDelayed began.
func (t *TCP) BacklogAccepted() {
	if t.early() {
		t.cold.fast.held = false
		if t.state == StateSynRcvd { // it counts until its handshake is through
			return
		}
	}
	t.leaveBacklog()
}

func (t *TCP) leaveBacklog() {
	if l := t.listener; l != nil {
		t.listener = nil
		if l.cold != nil { // the listener may be gone when the stack closes
			l.cold.pending--
		}
	}
}

// freePort finds a local port that nobody is bound to, for a listener.
func (s *Stack) freePort(local header.Addr, f family) uint16 {
	cfg := &s.cfg.TCP
	n := uint32(cfg.PortMax-cfg.PortMin) + 1
	start := s.rng.below(n)
	for i := range n {
		port := cfg.PortMin + uint16((start+i)%n)
		if !s.portTaken(local, f, port) {
			return port
		}
	}
	return 0
}

// Connect opens a connection (tcp_connect): it sends SYN and returns; fn is
// called when the connection is established, ErrFunc if it can't be. Errors:
// ErrVal for an address that can't be a peer, ErrRoute, ErrUse if exactly this
// connection exists, ErrNoPort, ErrMem, ErrIsConn.
func (t *TCP) Connect(to netip.AddrPort, fn ConnectedFunc) error {
	if err := t.open(to, fn); err != nil {
		return err
	}
	return t.Output()
}

// open is Connect up to where the SYN is queued.
func (t *TCP) open(to netip.AddrPort, fn ConnectedFunc) error {
	if t.state != StateClosed || t.s == nil {
		return ErrIsConn
	}
	s := t.s
	remote := s.peerAddr(to.Addr())
	if remote.IsZero() || remote.IsMulticast() || remote.IsBroadcast() || to.Port() == 0 ||
		!t.family().takes(remote) {
		return ErrVal // RFC 1122 4.2.3.10
	}
	way, err := s.pathFor(t.local, remote)
	if err != nil {
		s.stats.IP.OutNoRoutes++
		return err
	}
	if way.broadcast {
		return ErrVal
	}
	nif, neigh, local := way.nif, way.neigh, way.src
	lport, hash := t.lport, uint32(0)
	if lport == 0 {
		if lport, hash = s.choosePort(local, remote, to.Port()); lport == 0 {
			return ErrNoPort
		}
	} else {
		hash = s.hashFlow(local, remote, lport, to.Port())
		if old := s.lookup(local, remote, lport, to.Port(), hash); old != nil {
			if !old.reusable() {
				return ErrUse
			}
			s.tcp.reuse = old
		}
	}
	if old := s.tcp.reuse; old != nil {
		s.tcp.reuse = nil
		s.takeOver(old)
	}
	boundAddr, boundPort := t.local, t.lport
	t.remote, t.rport, t.local, t.lport = remote, to.Port(), local, lport
	t.opened = fn
	t.setupPath(nif, neigh)
	t.initConnection()
	t.ecnAsk()
	s.tcp.reopen = reopen{}
	if !t.queueControl(header.TCPSyn) {
		t.remote, t.rport, t.local, t.lport = header.Addr{}, 0, boundAddr, boundPort
		return ErrMem
	}
	t.setState(StateSynSent)
	t.link(hash)
	s.stats.TCP.ActiveOpens++
	return nil
}

// initConnection sets what both ways of opening need. The initial sequence
// number is that of RFC 6528: a keyed hash of the connection (SipHash-2-4) plus
// a clock that ticks about every 4 µs. The timestamp clock gets an offset of
// the same kind (RFC 7323 5.4, 7.1).
func (t *TCP) initConnection() {
	s := t.s
	isn, offset := s.flowSecrets(t.local, t.lport, t.remote, t.rport)
	iss := header.Seq(t.firstISN(isn))
	if h := s.hooks.TCPISN; h != nil {
		iss = h(t.local, t.lport, t.remote, t.rport)
	}
	t.tsOffset = offset
	t.setISS(s.tcp.reopen.after(iss))
	t.rcvWnd = t.recvBuf()
	t.mss = uint16(t.maxMSS())
	t.ccOpen()
	if t.s.cfg.TCP.Meter || t.flags&tfMeter != 0 {
		t.meter()
		t.startMeter()
	}
}

// setISS numbers a connection that has sent nothing yet.
func (t *TCP) setISS(iss header.Seq) {
	t.iss, t.sndWl2 = iss, iss
	t.sndUna, t.sndNxt, t.sndMax, t.sndLbb, t.recover = iss, iss, iss, iss, iss
}

// recvBuf is the size of the receive buffer.
func (t *TCP) recvBuf() uint32 {
	if t.cold != nil && t.cold.recvBuf != 0 {
		return t.cold.recvBuf
	}
	return uint32(t.s.cfg.TCP.RecvBuf)
}

// maxMSS is the largest segment that the path's interface and the
// configuration allow; what we announce (RFC 9293 3.7.1, RFC 6691).
func (t *TCP) maxMSS() int {
	if nif := t.nif; nif != nil && t.cold == nil && t.s.cfg.TCP.MSS == 0 && t.remote.Is4() { // nearly always
		return min(nif.mtu-header.IPv4Len-header.TCPLen, 65495)
	}
	return t.maxMSSBy(t.nif, t.remote)
}

// maxMSSBy is maxMSS for packets to dst that leave by nif, nil: not known yet.
func (t *TCP) maxMSSBy(nif *Netif, dst header.Addr) int {
	mtu := 576
	if nif != nil {
		mtu = nif.mtu
	}
	m := min(mtu-ipLen(dst)-header.TCPLen, 65495)
	if c := t.s.cfg.TCP.MSS; c != 0 {
		m = min(m, c)
	}
	if k := t.ownKnobs(); k != nil && k.mss != 0 {
		m = min(m, int(k.mss))
	}
	return m
}

// defaultMSS is what a peer takes that does not say so in its SYN (RFC 9293 3.7.1
// MUST-15).
func defaultMSS(dst header.Addr) uint16 {
	if dst.Is4() {
		return 576 - header.IPv4Len - header.TCPLen
	}
	return header.IPv6MinMTU - header.IPv6Len - header.TCPLen
}

// ipLen is the length of the IP header of packets to an address; zero, which is
// not known yet, counts as one of IPv4.
func ipLen(dst header.Addr) int {
	if dst.Is4() || dst.IsZero() {
		return header.IPv4Len
	}
	return header.IPv6Len
}

// choosePort picks the local port of a connection: RFC 6056 algorithm 4, a
// keyed hash of the other three tuple members plus a counter, or the hook's
// choice, with hashFlow of it. 0: all taken. Ports that are used in turn are free
// again in turn, so that the first attempt mostly succeeds; and once all were found
// taken, nobody looks again until a PCB has been freed.
func (s *Stack) choosePort(local, remote header.Addr, rport uint16) (port uint16, hash uint32) {
	cfg := &s.cfg.TCP
	full := &s.tcp.full
	if full.freed == s.tcp.freed && full.rport == rport && full.gen == s.pathGen && full.remote == remote && full.local == local &&
		(!cfg.TimeWaitReuse || s.now < s.tcp.fullUntil) {
		return 0, 0
	}
	n := uint32(cfg.PortMax-cfg.PortMin) + 1
	start, next := s.firstPort(flowEnds{local, remote, 0, rport})
	for i := range n {
		port = cfg.PortMin + uint16((start+i)%n)
		if h := s.hooks.TCPPort; h != nil {
			if port = h(local, remote, rport, start, i); port == 0 {
				break
			}
		}
		hash = s.hashFlow(local, remote, port, rport)
		old := s.lookup(local, remote, port, rport, hash)
		if (old == nil || old.reusable()) && !s.portTaken(local, familyAny, port) &&
			!s.takenElsewhere(header.ProtoTCP, flowEnds{local, remote, port, rport}) {
			*next += i + 1
			s.tcp.reuse = old
			return port, hash
		}
	}
	*full = fullPorts{local, remote, rport, s.tcp.freed, s.pathGen}
	s.tcp.fullUntil = s.now + 50_000_000 // by then one in TIME-WAIT may be reusable
	return 0, 0
}

// takenElsewhere asks the hook whether another stack has a flow.
func (s *Stack) takenElsewhere(proto header.Protocol, f flowEnds) bool {
	h := s.hooks.PortTaken
	return h != nil && h(proto, f.local, f.remote, f.lport, f.rport)
}

// fullPorts says for whom no port was left, and when: how many PCBs had been
// freed, and of which generation addresses and tables were.
type fullPorts struct {
	local, remote header.Addr
	rport         uint16
	freed         uint64
	gen           uint32
}

// flowSecrets gives two secrets of a connection, the halves of one keyed hash:
// for the ISN (RFC 6528 3) and for the timestamp offset (RFC 7323 5.4, 7.1).
func (s *Stack) flowSecrets(local header.Addr, lport uint16, remote header.Addr, rport uint16) (isn, offset uint32) {
	k := &s.tcp.isnKey
	h := flowHash64(k[0], k[1], flowEnds{local, remote, lport, rport})
	return uint32(h), uint32(h >> 32)
}

// portOffset is where in the range of ports a remote end's connections begin
// (RFC 6056 3.3.3), and the number of the counter to add (3.3.4).
func (s *Stack) portOffset(local, remote header.Addr, rport uint16) (offset, counter uint32) {
	m := &s.tcp.lastOffset // many connections in a row go to the same end
	if !m.valid || m.ends.rport != rport || m.ends.remote != remote || m.ends.local != local {
		k, ends := &s.tcp.isnKey, flowEnds{local, remote, 0, rport}
		*m = portOffset{ends: ends, hash: flowHash64(k[2], k[3], ends), valid: true}
	}
	return uint32(m.hash), uint32(m.hash >> 32)
}

// portOffset is a result of Stack.portOffset.
type portOffset struct {
	ends  flowEnds
	hash  uint64
	valid bool
}

// flowEnds is both ends of a connection.
type flowEnds struct {
	local, remote header.Addr
	lport, rport  uint16
}

// flowHash64 is SipHash-2-4 of a flow under a key.
func flowHash64(k0, k1 uint64, f flowEnds) uint64 {
	ports := uint32(f.lport)<<16 | uint32(f.rport)
	if f.local.Is4() && f.remote.Is4() { // a third of the work
		return sipHash12(k0, k1, f.local.Lo()<<32|uint64(f.remote.Uint32()), ports)
	}
	var b [40]byte
	be := binary.BigEndian
	be.PutUint64(b[0:], f.local.Hi())
	be.PutUint64(b[8:], f.local.Lo())
	be.PutUint64(b[16:], f.remote.Hi())
	be.PutUint64(b[24:], f.remote.Lo())
	be.PutUint32(b[32:], ports)
	return siphash.Hash(k0, k1, b[:36])
}

// setupPath caches where the connection's packets go.
func (t *TCP) setupPath(nif *Netif, n *neighbor) {
	t.nif, t.neigh = nif, n
	t.pathGen = t.s.pathGen
	t.setFlag(tfBig, t.wantBig())
}

// freshPath makes sure that the cached path is of the present generation;
// false: there is no path now.
func (t *TCP) freshPath() bool {
	return t.pathGen == t.s.pathGen && t.neigh != nil || t.newPath()
}

// newPath looks for the path anew. False: there is none.
func (t *TCP) newPath() bool {
	way, err := t.s.pathFor(t.local, t.remote)
	if err != nil {
		t.s.stats.IP.OutNoRoutes++
		return false
	}
	t.setupPath(way.nif, way.neigh)
	if t.s.tcp.dests.sets != nil && t.mssMax != 0 {
		t.applyPathMTU()
	}
	return t.neigh != nil
}

// queueControl queues a segment without data: SYN or FIN. False: no buffer.
func (t *TCP) queueControl(flags header.TCPFlags) bool {
	p := t.s.alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	if p == nil {
		return false
	}
	*seg(p) = tcpSeg{seq: t.sndLbb, flags: flags, sumOK: true}
	t.sndLbb = t.sndLbb.Add(1)
	t.pushSeg(p)
	return true
}

// pushSeg appends an unsent segment to the send queue.
func (t *TCP) pushSeg(p *pbuf.Pbuf) {
	t.sndq.Push(p)
	if t.unsent == nil {
		t.unsent = p
	}
}
