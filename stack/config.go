package stack

import (
	"fmt"
	"time"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/rss"
)

// Config sets up a Stack. The zero value of each field but Pool is its
// documented default.
type Config struct {
	// Pool gives every buffer that the stack makes. Required; it stays the
	// caller's and must outlive the stack.
	Pool *pbuf.Pool
	// Seed makes every random choice (ISN, ports, timestamps offsets, IP ids)
	// repeatable. Nil: fresh secrets from the operating system are the
	// caller's to give; a zero Seed is accepted only in tests.
	Seed [32]byte
	// FlowSecret is the secret of initial sequence numbers, timestamp offsets
	// and the order of ports. Stacks that may have the same tuple one after the
	// other share it, as the numbers of a tuple must go on from its last
	// incarnation's (RFC 6528 3, RFC 7323 5.5). Zero: Seed.
	FlowSecret [32]byte
	// Hasher computes flow hashes for packets whose port gave none. It must
	// hold the same key as the ports. Nil: connections are found by a keyed hash
	// of the stack's own, whatever hash comes with a packet; it is faster than
	// the NIC's in software, and nobody can choose flows that collide. With
	// Hooks.Steer nil is rss.DefaultKey.
	Hasher *rss.Hasher
	// Hooks extend or replace single decisions; nil fields are lwIP's
	// behaviour.
	Hooks Hooks
	// TTL of outgoing packets. Default 64 (RFC 1700, lwIP gives 255).
	TTL uint8
	// Forward lets the stack route packets between interfaces (RFC 1812).
	Forward bool
	// ARP sets up neighbour resolution.
	ARP ARPConfig
	// IPv6 sets up neighbour discovery and addresses of IPv6.
	IPv6 IPv6Config
	// Reassembly sets up the reassembly of fragments.
	Reassembly ReassemblyConfig
	// TCP sets up TCP.
	TCP TCPConfig
}

// ARPConfig sets up ARP (RFC 826, RFC 1122 2.3.2).
type ARPConfig struct {
	// MaxAge of a dynamic entry. Default 5 min (lwIP). Of IPv6, how long one is
	// kept that nothing is sent to.
	MaxAge time.Duration
	// QueueLen is how many packets wait for one address. Default 64: the
	// fragments of a long datagram find room (RFC 1122 2.3.2.2 wants 1).
	QueueLen int
	// Retries of a request, one second apart. Default 5.
	Retries int
	// Size is the most neighbours kept. Default 1024.
	Size int
}

// IPv6Config sets up IPv6. What ARPConfig says of the queue and the size of the
// table is true of neighbours of either family.
type IPv6Config struct {
	// DADTransmits is how many probes are sent for a new address before it is
	// used, one second apart. Default 1 (RFC 4862 5.1); negative: none, and the
	// address is ours at once.
	DADTransmits int
	// Follower leaves probes, router solicitations and multicast listener reports
	// to another stack with the same addresses, as the shards of a group do, and
	// learns from Stack.ApplyND6 what came of them.
	Follower bool
}

// ReassemblyConfig sets up the reassembly of IP packets (RFC 1122 3.3.2).
type ReassemblyConfig struct {
	// Timeout of an incomplete packet. Default 60 s, range 1 … 120 s (RFC 1122
	// 3.3.2 wants 60 to 120; lwIP has 15).
	Timeout time.Duration
	// MaxBuffers is how many buffers may wait. When there are more, the oldest
	// incomplete packets go. Default: a quarter of the pool's standard buffers.
	MaxBuffers int
}

// TCPConfig sets up TCP. Durations have a resolution of about 0.26 ms (one
// tick of the timing wheel).
type TCPConfig struct {
	// RecvBuf is the receive window that connections begin with, in bytes. Default
	// 256 KiB, range 536 … 1 GiB (RFC 7323 2.3).
	RecvBuf int
	// RecvBufMax is how far the window grows where it holds a connection back.
	// Default: RecvBuf, which then stays as it is; 16 MiB if RecvBuf is not set
	// either. The window scale is chosen for it.
	RecvBufMax int
	// SendBuf is how many bytes may be queued for sending at first. Default 256
	// KiB.
	SendBuf int
	// SendBufMax is how far that grows. Default as for RecvBufMax.
	SendBufMax int
	// TuneMem bounds the bytes by which the buffers of all connections together
	// have grown. Default: what a quarter of the pool's standard buffers holds in
	// segments of 1448 bytes.
	TuneMem int
	// MSS caps the segment size in both directions. Default: the interface's
	// MTU less headers (RFC 6691).
	MSS int
	// Congestion names the congestion control of new connections: "cubic"
	// (RFC 9438 with HyStart++, RFC 9406; the default), "reno" (RFC 5681,
	// 6582), "bbr" (version 3, draft-ietf-ccwg-bbr, which is paced) or "dctcp"
	// (RFC 8257, which asks for ECN).
	Congestion string
	// ECN says whether connections use explicit congestion notification
	// (RFC 3168). Default: if the peer asks for it.
	ECN ECNMode
	// InitialWindow in segments. Default 10 (RFC 6928).
	InitialWindow int
	// NoTimestamps, NoWindowScale leave out the RFC 7323 options.
	NoTimestamps  bool
	NoWindowScale bool
	// NoSACK leaves out selective acknowledgement (RFC 2018), and with it the
	// loss detection of RFC 8985.
	NoSACK bool
	// NoDelay sends small segments at once on every new connection (no Nagle
	// algorithm).
	NoDelay bool
	// GSOMax is how many bytes an IP packet, IPv6 header not counted, may have that
	// the port or package offload cuts: up to offload.MaxBig. Default
	// offload.MaxTSO. More (Linux: BIG TCP) needs windows of several times as much,
	// ports that take it (offload.BigTCP) and jumbo buffers, without which it is
	// MaxTSO.
	GSOMax int
	// GSO says when data is queued and sent in segments longer than the MSS, which
	// the port or package offload cuts. Default GSOAuto: when the port does it.
	GSO GSOMode
	// DelayedAck is the longest an ACK waits. Default 40 ms, at most 500 ms
	// (RFC 1122 4.2.3.2). Negative: every segment is acknowledged at once.
	DelayedAck time.Duration
	// MaxAckDelay is how long peers may delay the ACK of a single segment: a tail loss
	// probe waits for that beyond two round trips (RFC 8985 7.2, TLP.max_ack_delay).
	// Default 200 ms, at most 500 ms.
	MaxAckDelay time.Duration
	// AckEvery: an ACK at the latest after so many segments. Default 2 (RFC 9293
	// 3.8.6.3), range 1 … 255.
	AckEvery int
	// QuickAcks is how many segments at the beginning of a connection are
	// acknowledged at once. Default 0, at most 255.
	QuickAcks int
	// MinRTO, MaxRTO, InitialRTO bound the retransmission timer (RFC 6298).
	// Defaults 200 ms, 60 s, 1 s.
	MinRTO, MaxRTO, InitialRTO time.Duration
	// Retries of data, SYNRetries of SYN and SYN-ACK before the connection
	// fails. Defaults 12 and 6 (lwIP).
	Retries, SYNRetries int
	// TimeWait is how long TIME-WAIT lasts. Default 60 s; negative: none
	// (a generator's choice that RFC 9293 3.6.1 does not allow).
	TimeWait time.Duration
	// TimeWaitReuse lets Connect take the place of a connection in TIME-WAIT
	// whose ends it would have, a second after the peer was last heard, if both
	// use timestamps (RFC 6191 3; Linux's tcp_tw_reuse).
	TimeWaitReuse bool
	// UserTimeout gives up a connection whose peer has acknowledged nothing for
	// so long (RFC 9293 3.8.3); Retries does not count then. Default 0: none.
	UserTimeout time.Duration
	// UserTimeoutOption tells the peer, and takes over what it tells
	// (RFC 5482).
	UserTimeoutOption bool
	// FinWait2 bounds a half-closed connection whose user has let go of it.
	// Default 20 s (lwIP).
	FinWait2 time.Duration
	// KeepIdle, KeepInterval, KeepCount are used when keepalive is on
	// (RFC 1122 4.2.3.6). Defaults 2 h, 75 s, 9.
	KeepIdle, KeepInterval time.Duration
	KeepCount              int
	// PortMin, PortMax is the ephemeral range. Default 32768 … 65535
	// (RFC 6056 3.2).
	PortMin, PortMax uint16
	// Ports and ISN say how ports and initial sequence numbers are chosen.
	// Defaults PortsHash and ISNHash.
	Ports PortPolicy
	ISN   ISNPolicy
	// DSCP of outgoing packets (RFC 2474 3). Default 0, at most 63.
	DSCP uint8
	// SynCookies says when SYNs are answered by cookies (RFC 4987 3.6). Default
	// CookiesOnOverflow.
	SynCookies SynCookies
	// FastOpen sets up TCP Fast Open (RFC 7413). Default: off.
	FastOpen FastOpenConfig
	// SynQueue bounds the half-open connections of all listeners together, each
	// of which has a PCB and a small buffer. Default 65536.
	SynQueue int
	// ChallengeAcks is how many segments that may be forged are answered in a
	// second, give or take a random half (RFC 5961 7). Default 1000; negative:
	// all.
	ChallengeAcks int
	// ChallengeInterval is the least time between two such answers of one
	// connection (net.ipv4.tcp_invalid_ratelimit). Default 500 ms; negative: none.
	ChallengeInterval time.Duration
	// ResetRate is how many segments that belong to nobody are answered by RST in
	// a second. Default 10000; negative: all.
	ResetRate int
	// OutOfOrderMem bounds the bytes of buffers in which segments of all
	// connections wait out of order. Default: half of the pool's standard
	// buffers.
	OutOfOrderMem int
	// DestCache is of how many destinations the path MTU is remembered. Default
	// 1024, at most 2^20.
	DestCache int
	// MTUProbing says when the path MTU is searched for without the help of routers
	// (RFC 4821). Default MTUProbingOff.
	MTUProbing MTUProbing
	// MTUProbeBase is the payload of a segment with which that begins, and
	// MTUProbeFloor the least that is tried where even this does not arrive.
	// Defaults 1024 and 536 or that, at least 48; over IPv6 a packet has 1280 bytes at
	// least.
	MTUProbeBase, MTUProbeFloor int
	// MTUProbeThreshold bytes less than what does not arrive are good enough.
	// Default 8.
	MTUProbeThreshold int
	// MTUProbeInterval is after which time a search is begun anew, as the path may
	// have become wider. Default 10 min.
	MTUProbeInterval time.Duration
	// PathMTUAge is how long a path MTU is remembered. Default 10 min, at least
	// 5 min (RFC 1191 6.3).
	PathMTUAge time.Duration
	// Meter has everything counted that Info tells of a connection (SetMeter), which
	// costs each packet some time and each connection some memory. Default: what is
	// free.
	Meter bool
	// MaxOutOfOrder bounds the bytes that wait out of order in a connection.
	// Default: RecvBuf.
	MaxOutOfOrder int
	// MaxConns bounds the connections, TIME-WAIT included. Default 4 Mi.
	MaxConns int
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) setDefaults() {
	def(&c.FlowSecret, c.Seed)
	def(&c.TTL, 64)
	def(&c.ARP.MaxAge, 5*time.Minute)
	def(&c.ARP.QueueLen, 64)
	def(&c.ARP.Retries, 5)
	def(&c.ARP.Size, 1024)
	def(&c.IPv6.DADTransmits, 1)
	def(&c.Reassembly.Timeout, 60*time.Second)
	t := &c.TCP
	for _, b := range [...]struct{ size, most *int }{{&t.RecvBuf, &t.RecvBufMax}, {&t.SendBuf, &t.SendBufMax}} {
		if *b.size == 0 {
			def(b.most, 16<<20)
			*b.size = min(256<<10, *b.most)
		}
		def(b.most, *b.size)
	}
	def(&t.InitialWindow, 10)
	def(&t.GSOMax, offload.MaxTSO)
	def(&t.DelayedAck, 40*time.Millisecond)
	def(&t.MaxAckDelay, 200*time.Millisecond)
	def(&t.MinRTO, 200*time.Millisecond)
	def(&t.MaxRTO, 60*time.Second)
	def(&t.InitialRTO, time.Second)
	def(&t.Retries, 12)
	def(&t.SYNRetries, 6)
	def(&t.TimeWait, 60*time.Second)
	def(&t.FinWait2, 20*time.Second)
	def(&t.KeepIdle, 2*time.Hour)
	def(&t.KeepInterval, 75*time.Second)
	def(&t.KeepCount, 9)
	def(&t.PortMin, 32768)
	def(&t.PortMax, 65535)
	def(&t.MaxOutOfOrder, t.RecvBufMax)
	def(&t.MaxConns, 4<<20)
	def(&t.AckEvery, 2)
	def(&t.SynQueue, 1<<16)
	def(&t.ChallengeAcks, 1000)
	def(&t.ChallengeInterval, 500*time.Millisecond)
	def(&t.ResetRate, 10000)
	def(&t.DestCache, 1024)
	def(&t.PathMTUAge, 10*time.Minute)
	t.setProbeDefaults()
	t.FastOpen.setDefaults()
	if c.Pool != nil {
		def(&t.TuneMem, c.Pool.Cap(pbuf.ClassStandard)/4*1448)
		def(&t.OutOfOrderMem, max(c.Pool.Cap(pbuf.ClassStandard)/2, 16)*oooUnit)
	}
}

// Validate reports the first contradiction in c, as an error that names the
// field and matches ErrVal.
func (c *Config) Validate() error {
	d := *c
	d.setDefaults()
	t := &d.TCP
	_, known := ccKindOf(t.Congestion)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("stack: config: "+format+": %w", append(a, ErrVal)...)
	}
	switch {
	case d.Pool == nil:
		return bad("Pool is nil")
	case d.ARP.MaxAge < time.Second || d.ARP.MaxAge > 24*time.Hour:
		return bad("ARP.MaxAge %v outside 1 s … 24 h", d.ARP.MaxAge)
	case d.ARP.QueueLen < 1 || d.ARP.Retries < 1 || d.ARP.Retries > 255 || d.ARP.Size < 1 || d.ARP.Size > 1<<20:
		return bad("ARP: want QueueLen ≥ 1, 1 ≤ Retries ≤ 255, 1 ≤ Size ≤ 2^20")
	case d.IPv6.DADTransmits > 255:
		return bad("IPv6.DADTransmits %d over 255", d.IPv6.DADTransmits)
	case d.Reassembly.Timeout < time.Second || d.Reassembly.Timeout > 120*time.Second:
		return bad("Reassembly.Timeout %v outside 1 … 120 s", d.Reassembly.Timeout)
	case d.Reassembly.MaxBuffers < 0:
		return bad("Reassembly.MaxBuffers %d", d.Reassembly.MaxBuffers)
	case t.RecvBuf < 536 || t.RecvBuf > 1<<30:
		return bad("TCP.RecvBuf %d outside 536 … 1 GiB", t.RecvBuf)
	case t.NoWindowScale && t.RecvBuf > 65535:
		if c.TCP.RecvBuf != 0 {
			return bad("TCP.RecvBuf %d needs window scaling", t.RecvBuf)
		}
	case t.SendBuf < 536 || t.SendBuf > 1<<30:
		return bad("TCP.SendBuf %d outside 536 … 1 GiB", t.SendBuf)
	case t.RecvBufMax < t.RecvBuf || t.RecvBufMax > 1<<30 || t.SendBufMax < t.SendBuf || t.SendBufMax > 1<<30 || t.TuneMem < 0:
		return bad("TCP: want RecvBuf ≤ RecvBufMax ≤ 1 GiB, SendBuf ≤ SendBufMax ≤ 1 GiB, TuneMem ≥ 0")
	case t.MSS != 0 && (t.MSS < 88 || t.MSS > 65495):
		return bad("TCP.MSS %d outside 88 … 65495", t.MSS)
	case t.ECN >= numECNModes:
		return bad("TCP.ECN %d is unknown", t.ECN)
	case !known:
		return bad("TCP.Congestion %q is unknown", t.Congestion)
	case t.InitialWindow < 1 || t.InitialWindow > 1000:
		return bad("TCP.InitialWindow %d outside 1 … 1000", t.InitialWindow)
	case t.GSOMax < offload.MaxTSO || t.GSOMax > offload.MaxBig:
		return bad("TCP.GSOMax %d outside %d … %d", t.GSOMax, offload.MaxTSO, offload.MaxBig)
	case t.GSO > GSONever:
		return bad("TCP.GSO %d is no mode", t.GSO)
	case t.DelayedAck > 500*time.Millisecond:
		return bad("TCP.DelayedAck %v over 500 ms (RFC 1122 4.2.3.2)", t.DelayedAck)
	case t.MaxAckDelay < 0 || t.MaxAckDelay > 500*time.Millisecond:
		return bad("TCP.MaxAckDelay %v outside 0 … 500 ms (RFC 1122 4.2.3.2)", t.MaxAckDelay)
	case t.MinRTO < time.Millisecond || t.MinRTO > t.InitialRTO || t.InitialRTO > t.MaxRTO:
		return bad("TCP RTOs: want 1 ms ≤ MinRTO ≤ InitialRTO ≤ MaxRTO, have %v, %v, %v", t.MinRTO, t.InitialRTO, t.MaxRTO)
	case t.Retries < 1 || t.SYNRetries < 1 || t.Retries > 255 || t.SYNRetries > 255:
		return bad("TCP retries outside 1 … 255")
	case t.PortMin > t.PortMax:
		return bad("TCP ports %d > %d", t.PortMin, t.PortMax)
	case t.AckEvery < 1 || t.AckEvery > 255 || t.QuickAcks < 0 || t.QuickAcks > 255:
		return bad("TCP: want 1 ≤ AckEvery ≤ 255, 0 ≤ QuickAcks ≤ 255")
	case t.DSCP > 63:
		return bad("TCP.DSCP %d over 63", t.DSCP)
	case t.DestCache < 1 || t.DestCache > 1<<20 || t.PathMTUAge < 5*time.Minute:
		return bad("TCP: want 1 ≤ DestCache ≤ 2^20, PathMTUAge ≥ 5 min (RFC 1191 6.3)")
	case t.MTUProbing > MTUProbingAlways || t.MTUProbeFloor < 48 || t.MTUProbeBase < t.MTUProbeFloor || t.MTUProbeBase > 65495:
		return bad("TCP: want a known MTUProbing, 48 ≤ MTUProbeFloor ≤ MTUProbeBase ≤ 65495")
	case t.MTUProbeThreshold < 1 || t.MTUProbeInterval < time.Second:
		return bad("TCP: want MTUProbeThreshold ≥ 1, MTUProbeInterval ≥ 1 s")
	case t.UserTimeout < 0:
		return bad("TCP.UserTimeout %v", t.UserTimeout)
	case t.SynQueue < 1 || t.OutOfOrderMem < 0 || t.SynCookies > CookiesAlways || t.Ports > PortsRandom || t.ISN > ISNRandom:
		return bad("TCP: want SynQueue ≥ 1, OutOfOrderMem ≥ 0, known policies")
	case !t.FastOpen.valid():
		return bad("TCP.FastOpen: want Pending ≤ 2^20, 1 ≤ Servers ≤ 2^20, BlackHole ≥ 0, at most 2 keys")
	case t.MaxConns < 1 || t.MaxConns > 1<<28:
		return bad("TCP.MaxConns %d outside 1 … 2^28", t.MaxConns)
	}
	return nil
}
