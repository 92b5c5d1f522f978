package load

import (
	"encoding/binary"
	"net/netip"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

// udpBurst is how many datagrams a UDP client sends at a time.
const udpBurst = 64

// udpTail is how long datagrams are waited for at the end, in nanoseconds.
const udpTail = 200_000_000

// UDP sends datagrams of Size bytes on Conns flows as fast as the rate or the
// port lets it, to a service that counts or returns them. A datagram begins
// with the time it was sent, so that those that come back give latencies. An
// operation is a datagram sent.
type UDP struct {
	base
	block []byte
	sum   uint16 // of block without its first 8 bytes, which are the time
	socks []*stack.UDP
	turn  int
	retry int64 // when buffers were short: not before
	ends  int64 // after Stop: when the sockets are closed
	path  bool  // the neighbour on the way is known
}

// NewUDP makes a UDP client on s. Size is at least 8.
func NewUDP(s *stack.Stack, cfg Config) *UDP {
	cfg.setDefaults(64)
	cfg.Size = max(cfg.Size, 8)
	block := patternOf(cfg.Size)
	return &UDP{base: newBase(s, cfg), block: block, sum: header.Checksum(block[8:], 0)}
}

// Start opens the sockets.
func (u *UDP) Start() error {
	recv := u.recv
	for range u.cfg.Conns {
		sock := u.s.NewUDP()
		if sock == nil {
			return stack.ErrMem
		}
		u.socks = append(u.socks, sock)
		sock.SetRecv(recv)
		if len(u.cfg.From) != 0 {
			from := u.cfg.From[u.from%len(u.cfg.From)]
			u.from++
			if err := sock.Bind(netip.AddrPortFrom(from, 0)); err != nil {
				return err
			}
		}
		if err := sock.Connect(u.cfg.To); err != nil {
			return err
		}
		u.n.Opened++
	}
	return nil
}

func (u *UDP) recv(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ netip.AddrPort) {
	u.n.PacketsIn++
	u.n.BytesIn += uint64(p.TotLen())
	var b [8]byte
	if p.CopyPartial(b[:], 0) == len(b) {
		u.record(u.s.Now() - int64(binary.BigEndian.Uint64(b[:])))
	}
	p.Free()
}

// Poll sends a burst.
func (u *UDP) Poll(now int64) (n int) {
	if u.stopped && now >= u.ends {
		u.close()
	}
	if u.stopped || now < u.retry || !u.ready(now) {
		return 0
	}
	// The time is that of the round, so it is summed once.
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(now))
	sum := header.Checksum(stamp[:], u.sum)
	for n < udpBurst && !u.full() && u.pace.take(now) {
		p := u.s.Pool().Alloc(pbuf.LayerTransport, u.cfg.Size, pbuf.KindPool)
		if p == nil {
			u.retry = now + stallRetry
			break
		}
		_ = p.Take(u.block) // it has that length
		_ = p.Take(stamp[:])
		sock := u.socks[u.turn]
		if u.turn++; u.turn == len(u.socks) {
			u.turn = 0
		}
		if err := sock.SendSum(p, sum); err != nil {
			u.fail(err)
			u.retry = now + stallRetry
			break
		}
		u.begun++
		u.n.Ops++
		u.n.PacketsOut++
		u.n.BytesOut += uint64(u.cfg.Size)
		n++
	}
	return n
}

// ready reports whether datagrams would leave: the neighbour on the way is
// known, and the port keeps up.
func (u *UDP) ready(now int64) bool {
	if !u.path {
		ok, err := u.s.Resolve(u.cfg.To.Addr())
		if err != nil {
			u.fail(err)
		}
		if !ok {
			u.retry = now + stallRetry
			return false
		}
		u.path = true
	}
	for _, nif := range u.s.Netifs() {
		if nif.Busy() {
			return false
		}
	}
	return true
}

// Next is when the next datagram is due.
func (u *UDP) Next() int64 {
	switch {
	case u.stopped && u.socks != nil:
		return u.ends
	case u.full():
		return stack.Forever
	}
	return max(u.pace.due, u.retry)
}

// Stop sends no more. The sockets stay open for udpTail, for what is on its way
// back.
func (u *UDP) Stop() {
	u.stopped = true
	u.ends = u.s.Now() + udpTail
}

func (u *UDP) close() {
	for _, sock := range u.socks {
		sock.Close()
	}
	u.socks = nil
}

// serveUDP opens the echo and discard services for datagrams.
func (sv *Server) serveUDP(cfg ServerConfig) error {
	for _, x := range []struct {
		port, def uint16
		recv      func(any, *stack.UDP, *pbuf.Pbuf, netip.AddrPort)
	}{
		{cfg.Echo, PortEcho, sv.recvEchoUDP},
		{cfg.Discard, PortDiscard, sv.recvDiscardUDP},
	} {
		if x.port == 0 {
			x.port = x.def
		}
		u := sv.s.NewUDP()
		if u == nil {
			return stack.ErrMem
		}
		sv.udp = append(sv.udp, u)
		if err := u.Bind(netip.AddrPortFrom(cfg.Addr, x.port)); err != nil {
			return err
		}
		u.SetRecv(x.recv)
	}
	return nil
}

func (sv *Server) recvDiscardUDP(_ any, _ *stack.UDP, p *pbuf.Pbuf, _ netip.AddrPort) {
	sv.n.PacketsIn++
	sv.n.BytesIn += uint64(p.TotLen())
	p.Free()
}

func (sv *Server) recvEchoUDP(_ any, u *stack.UDP, p *pbuf.Pbuf, from netip.AddrPort) {
	n := uint64(p.TotLen())
	sv.n.PacketsIn++
	sv.n.BytesIn += n
	if u.SendTo(p, from) == nil { // the same buffer goes back
		sv.n.Ops++
		sv.n.PacketsOut++
		sv.n.BytesOut += n
	}
}
