package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

var (
	otherIP  = netip.MustParseAddr("198.18.0.3")
	otherMAC = header.MAC{2, 0, 0, 0, 0, 3}
)

func arpRequest(from netip.Addr, mac header.MAC, to netip.Addr) []byte {
	return arpFrame(header.Broadcast, header.ARPFields{Op: header.ARPRequest, SenderMAC: mac, SenderIP: hdr(from), TargetIP: hdr(to)})
}

func arpReply(from netip.Addr, mac header.MAC, to netip.Addr, toMAC header.MAC) []byte {
	return arpFrame(toMAC, header.ARPFields{Op: header.ARPReply, SenderMAC: mac, SenderIP: hdr(from), TargetMAC: toMAC, TargetIP: hdr(to)})
}

// newARPHost is a host that knows no neighbour.
func newARPHost(t testing.TB, cfg ARPConfig) *host {
	t.Helper()
	return newHost(t, hostConfig{Config: Config{ARP: cfg}, ARP: true})
}

// entry is what the table says of an address, or nil.
func (h *host) entry(a netip.Addr) *Neighbor {
	for _, n := range h.Neighbors() {
		if n.Addr == a {
			return &n
		}
	}
	return nil
}

// sendUDP sends a datagram of n bytes to port 9 of an address.
func (h *host) sendUDP(to netip.Addr, n int) error {
	h.t.Helper()
	u := h.NewUDP()
	defer u.Close()
	return u.SendTo(h.data(n), netip.AddrPortFrom(to, 9))
}

// data is a packet of n bytes to be sent.
func (h *host) data(n int) *pbuf.Pbuf {
	h.t.Helper()
	p := h.pool.Alloc(pbuf.LayerTransport, n, pbuf.KindPool)
	require.NotNil(h.t, p)
	require.NoError(h.t, p.Take(pattern(n)))
	return p
}

func (h *host) wantRequest(f frame, dst header.MAC, target netip.Addr) {
	h.t.Helper()
	require.NotNil(h.t, f.arp, "%s", f)
	require.Equal(h.t, header.ARPRequest, f.arp.Op())
	require.Equal(h.t, dst, f.dst)
	require.Equal(h.t, h.nif.mac, f.src)
	require.Equal(h.t, h.nif.mac, f.arp.SenderMAC())
	require.Equal(h.t, hdr(h.addr()), f.arp.SenderIP())
	require.Equal(h.t, hdr(target), f.arp.TargetIP())
}

func TestARP_RFC826_RequestIsAnswered(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	f := h.one()
	require.Equal(t, scriptPeer, f.dst)
	require.Equal(t, header.ARPReply, f.arp.Op())
	require.Equal(t, scriptMAC, f.arp.SenderMAC())
	require.Equal(t, hdr(userIP), f.arp.SenderIP())
	require.Equal(t, scriptPeer, f.arp.TargetMAC())
	require.Equal(t, hdr(peerIP), f.arp.TargetIP())
	require.Equal(t, uint64(1), h.stats.ARP.InRequests)
	require.Equal(t, uint64(1), h.stats.ARP.OutReplies)
	// The asker wants to talk to us: it is learnt (add the triplet).
	require.Equal(t, scriptPeer, h.entry(peerIP).MAC)
	require.NoError(t, h.sendUDP(peerIP, 10))
	require.NotNil(t, h.one().udp)
}

func TestARP_RFC826_RequestForOthersTeachesOnlyWhatIsKnown(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, otherIP))
	h.none()
	require.Nil(t, h.entry(peerIP), "not for us: no new entry")

	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.take()
	h.in(arpRequest(peerIP, otherMAC, otherIP))
	require.Equal(t, otherMAC, h.entry(peerIP).MAC, "merge: what is known is brought up to date")
}

func TestARP_RFC826_OpcodeIsLookedAtLast(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.take()
	h.in(arpFrame(scriptMAC, header.ARPFields{Op: 9, SenderMAC: otherMAC, SenderIP: hdr(peerIP), TargetIP: hdr(userIP)}))
	require.Equal(t, otherMAC, h.entry(peerIP).MAC)
	h.none()
	h.dropped(DropARPMalformed, 1)
}

func TestARP_RFC826_OtherKindsAreDropped(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	good := arpRequest(peerIP, scriptPeer, userIP)
	n := 0
	for _, at := range []int{0, 2, 4, 5} { // hardware type, protocol type, lengths
		b := append([]byte{}, good...)
		b[header.EthernetLen+at] ^= 1
		h.in(b)
		n++
	}
	h.in(good[:len(good)-1])
	h.dropped(DropARPMalformed, n+1)
	h.none()
	require.Empty(t, h.Neighbors())
}

func TestARP_RFC826_SenderOffLinkIsAnsweredButNotLearnt(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	far := netip.MustParseAddr("203.0.113.9")
	h.in(arpRequest(far, scriptPeer, userIP))
	require.NotNil(t, h.one().arp)
	require.Nil(t, h.entry(far))
}

func TestARP_RFC1812_3_3_2_GroupAddressIsNoStation(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	for _, mac := range []header.MAC{header.Broadcast, {1, 0, 0x5e, 0, 0, 1}, {}} {
		h.in(arpReply(peerIP, mac, userIP, scriptMAC))
	}
	h.dropped(DropARPMalformed, 3)
	require.Empty(t, h.Neighbors())
	b := arpReply(peerIP, scriptPeer, userIP, scriptMAC)
	(*header.Ethernet)(b).SetSrc(header.Broadcast)
	h.in(b)
	h.dropped(DropARPMalformed, 4)
}

func TestARP_RFC1122_2_3_2_2_PacketWaitsForTheAnswer(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	require.NoError(t, h.sendUDP(peerIP, 10))
	h.wantRequest(h.one(), header.Broadcast, peerIP)
	require.Equal(t, 1, h.entry(peerIP).Waiting)
	require.False(t, h.entry(peerIP).Resolved)
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	f := h.one()
	require.Equal(t, scriptPeer, f.dst)
	require.Equal(t, pattern(10), f.body)
	require.Equal(t, uint64(1), h.stats.ARP.OutRequests)
	require.Equal(t, uint64(1), h.stats.ARP.InReplies)
}

func TestARP_RFC1122_2_3_2_2_LatestPacketsAreKept(t *testing.T) {
	h := newARPHost(t, ARPConfig{QueueLen: 3})
	for n := range 5 {
		require.NoError(t, h.sendUDP(peerIP, n+1))
	}
	h.wantRequest(h.one(), header.Broadcast, peerIP)
	h.dropped(DropARPQueueFull, 2)
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	fs := h.take()
	require.Len(t, fs, 3)
	for i, f := range fs {
		require.Len(t, f.body, i+3, "the first two are gone, the order is kept")
	}
}

func TestARP_RFC1122_2_3_2_1_OneRequestASecond(t *testing.T) {
	h := newARPHost(t, ARPConfig{Retries: 3})
	require.NoError(t, h.sendUDP(peerIP, 1))
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.wantRequest(h.one(), header.Broadcast, peerIP)
	for range 2 {
		h.advance(999 * time.Millisecond)
		h.none()
		h.advance(time.Millisecond)
		h.wantRequest(h.one(), header.Broadcast, peerIP)
	}
	gen := h.pathGen
	h.advance(time.Second)
	h.none()
	h.dropped(DropARPUnresolved, 2)
	require.Empty(t, h.Neighbors())
	require.NotEqual(t, gen, h.pathGen, "pointers to the entry are invalid")
	require.Equal(t, int64(Forever), h.NextTimeout(), "nothing is left to do")
	// The next packet tries anew.
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.wantRequest(h.one(), header.Broadcast, peerIP)
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	require.NotNil(t, h.one().udp)
}

func TestARP_RFC1122_2_3_2_1_EntriesAgeOut(t *testing.T) {
	h := newARPHost(t, ARPConfig{MaxAge: 100 * time.Second})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.take()
	h.advance(60 * time.Second)
	h.in(arpRequest(peerIP, scriptPeer, otherIP)) // heard of again: the clock restarts
	h.advance(99 * time.Second)
	require.NotNil(t, h.entry(peerIP))
	h.none()
	h.advance(time.Second)
	require.Nil(t, h.entry(peerIP))
	require.Equal(t, uint64(1), h.stats.ARP.Expired)
	require.Equal(t, int64(Forever), h.NextTimeout())
}

// TestARP_RFC1122_2_3_2_1_UnicastPoll: an entry in use is asked for again before
// its time is up: first its station alone, near the end everybody.
func TestARP_RFC1122_2_3_2_1_UnicastPoll(t *testing.T) {
	h := newARPHost(t, ARPConfig{MaxAge: 100 * time.Second})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.take()
	use := func(d time.Duration) (asked []frame) {
		for end := h.now + int64(d); h.now < end; h.advance(250 * time.Millisecond) {
			require.NoError(t, h.sendUDP(peerIP, 1))
		}
		for _, f := range h.take() {
			if f.arp != nil {
				asked = append(asked, f)
			} else {
				require.Equal(t, scriptPeer, f.dst, "traffic never stops")
			}
		}
		return asked
	}
	require.Empty(t, use(89*time.Second))
	fs := use(5 * time.Second)
	require.NotEmpty(t, fs)
	require.LessOrEqual(t, len(fs), 3, "not more than one in two seconds")
	for _, f := range fs {
		h.wantRequest(f, scriptPeer, peerIP)
	}
	use(time.Second)
	fs = use(4 * time.Second)
	require.NotEmpty(t, fs)
	for _, f := range fs {
		h.wantRequest(f, header.Broadcast, peerIP)
	}
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	require.Empty(t, use(80*time.Second), "the answer made it young again")
}

func TestARP_UnusedEntryIsNotRefreshed(t *testing.T) {
	h := newARPHost(t, ARPConfig{MaxAge: 100 * time.Second})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.take()
	h.advance(200 * time.Second)
	h.none()
	require.Nil(t, h.entry(peerIP))
}

func TestARP_RFC5227_2_1_1_ProbeIsAnsweredAndTeachesNothing(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(netip.IPv4Unspecified(), otherMAC, userIP))
	f := h.one()
	require.Equal(t, header.ARPReply, f.arp.Op())
	require.Equal(t, otherMAC, f.dst)
	require.Empty(t, h.Neighbors())
}

func TestARP_RFC5227_2_4_AddressIsDefendedOnceIn10s(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	conflict := arpRequest(userIP, otherMAC, otherIP)
	h.in(conflict, conflict)
	f := h.one()
	h.wantRequest(f, header.Broadcast, userIP)
	require.Equal(t, uint64(2), h.stats.ARP.Conflicts)
	h.advance(9 * time.Second)
	h.in(conflict)
	h.none()
	h.advance(time.Second)
	h.in(conflict)
	h.wantRequest(h.one(), header.Broadcast, userIP)
	require.Empty(t, h.Neighbors(), "our own address is never a neighbour")
	// Our own announcement, reflected by a switch, is no conflict.
	h.in(arpRequest(userIP, scriptMAC, userIP))
	require.Equal(t, uint64(4), h.stats.ARP.Conflicts)
	h.take()
}

func TestARP_RFC5227_3_NewAddressIsAnnounced(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	second := netip.MustParsePrefix("198.18.7.1/24")
	require.NoError(t, h.nif.AddAddr(second))
	f := h.one()
	require.Equal(t, header.ARPRequest, f.arp.Op())
	require.Equal(t, header.Broadcast, f.dst)
	require.Equal(t, hdr(second.Addr()), f.arp.SenderIP())
	require.Equal(t, hdr(second.Addr()), f.arp.TargetIP())
	h.nif.SetUp(false)
	h.nif.SetUp(true)
	require.Len(t, h.take(), 2, "all addresses, when the interface comes up")
}

func TestARP_RFC5227_3_AnnouncementUpdatesOthers(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.take()
	h.in(arpRequest(peerIP, otherMAC, peerIP))
	require.Equal(t, otherMAC, h.entry(peerIP).MAC)
	h.none()
}

func TestARP_HookNeighborProbe(t *testing.T) {
	var asked []header.Addr
	h := newHost(t, hostConfig{ARP: true, Config: Config{Hooks: Hooks{NeighborProbe: func(_ *Netif, a header.Addr) bool {
		asked = append(asked, a)
		return a == hdr(peerIP)
	}}}})
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.none()
	require.NoError(t, h.AddNeighbor(h.nif, peerIP, scriptPeer))
	require.NotNil(t, h.one().udp)
	require.NoError(t, h.sendUDP(otherIP, 1))
	h.wantRequest(h.one(), header.Broadcast, otherIP)
	require.Equal(t, []header.Addr{hdr(peerIP), hdr(otherIP)}, asked)
}

// TestARP_HookNeighborLearned: the answer to another shard's request is told
// even if it is no news here, and LearnNeighbor tells nobody.
func TestARP_HookNeighborLearned(t *testing.T) {
	learned := 0
	h := newHost(t, hostConfig{ARP: true, Config: Config{Hooks: Hooks{NeighborLearned: func(nif *Netif, a header.Addr, m header.MAC) {
		require.Equal(t, hdr(peerIP), a)
		require.Equal(t, uint8(1), nif.Index())
		learned++
	}}}})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.Equal(t, 1, learned, "new")
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	require.Equal(t, 1, learned, "known")
	h.in(arpReply(peerIP, scriptPeer, userIP, scriptMAC))
	require.Equal(t, 2, learned, "an answer")
	h.in(arpRequest(peerIP, otherMAC, otherIP))
	require.Equal(t, 3, learned, "a new MAC")
	h.take()
	h.LearnNeighbor(h.nif, hdr(peerIP), scriptPeer)
	require.Equal(t, 3, learned)
	require.Equal(t, scriptPeer, h.entry(peerIP).MAC)
}

func TestARP_LearnNeighborResolvesWhatWaits(t *testing.T) {
	h := newARPHost(t, ARPConfig{})
	require.NoError(t, h.sendUDP(peerIP, 1))
	h.take()
	h.LearnNeighbor(h.nif, hdr(peerIP), header.Broadcast)
	h.none()
	h.LearnNeighbor(h.nif, hdr(peerIP), scriptPeer)
	require.Equal(t, scriptPeer, h.one().dst)
	h.LearnNeighbor(h.nif, hdr(otherIP), otherMAC)
	require.Equal(t, otherMAC, h.entry(otherIP).MAC)
	for _, a := range []string{"203.0.113.1", "198.18.0.1"} {
		h.LearnNeighbor(h.nif, hdr(netip.MustParseAddr(a)), otherMAC)
		require.Nil(t, h.entry(netip.MustParseAddr(a)), "not a neighbour: %v", a)
	}
}

func TestARP_NoBufferForAnswer(t *testing.T) {
	h := newHost(t, hostConfig{ARP: true, Bufs: pbuf.Config{Small: -1, Buffers: 1, Jumbo: -1}})
	h.in(arpRequest(peerIP, scriptPeer, userIP))
	h.none()
	h.dropped(DropNoBuf, 1)
	require.Zero(t, h.stats.ARP.OutReplies)
}
