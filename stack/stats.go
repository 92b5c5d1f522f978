package stack

// Stats are the counters of one stack, named as in the MIBs. They are plain
// words that only the stack's thread touches; shard publishes copies.
type Stats struct {
	IP    IPStats
	IP6   IPStats
	ICMP  ICMPStats
	ICMP6 ICMP6Stats
	ND6   ND6Stats
	MLD6  MLD6Stats
	ARP   ARPStats
	UDP   UDPStats
	TCP   TCPStats
	Link  LinkStats
	Drops [NumDropReasons]uint64
}

// LinkStats count frames and bytes of all interfaces (RFC 2863 ifTable).
type LinkStats struct {
	InFrames, InOctets   uint64
	OutFrames, OutOctets uint64
}

// IPStats is the ip group of RFC 1213 with the additions of RFC 4293.
type IPStats struct {
	InReceives, InHdrErrors, InAddrErrors, InUnknownProtos uint64
	InDiscards, InDelivers                                 uint64
	ForwDatagrams                                          uint64
	OutRequests, OutDiscards, OutNoRoutes                  uint64
	ReasmReqds, ReasmOKs, ReasmFails, ReasmTimeout         uint64
	FragOKs, FragFails, FragCreates                        uint64
	AtomicFragments                                        uint64 // RFC 6946; IPv6 only
}

// ICMPStats is the icmp group of RFC 1213.
type ICMPStats struct {
	InMsgs, InErrors, InDestUnreachs, InTimeExcds, InParmProbs uint64
	InSrcQuenchs, InRedirects, InEchos, InEchoReps             uint64
	OutMsgs, OutErrors, OutDestUnreachs, OutTimeExcds          uint64
	OutParmProbs, OutEchos, OutEchoReps                        uint64
	OutRateLimited                                             uint64
}

// ICMP6Stats is the ipv6IfIcmp group of RFC 2466.
type ICMP6Stats struct {
	InMsgs, InErrors, InDestUnreachs, InPktTooBigs, InTimeExcds uint64
	InParmProbs, InEchos, InEchoReps                            uint64
	OutMsgs, OutDestUnreachs, OutPktTooBigs, OutTimeExcds       uint64
	OutParmProbs, OutEchos, OutEchoReps, OutRateLimited         uint64
}

// ND6Stats count neighbour discovery.
type ND6Stats struct {
	InSolicits, InAdverts, InRouterSolicits, InRouterAdverts, InRedirects uint64
	InErrors, OutSolicits, OutAdverts, OutRouterSolicits                  uint64
	Updates, Expired, Unreachable, Conflicts                              uint64
	Duplicates                                                            uint64 // addresses of ours that others have
}

// MLD6Stats count multicast listener discovery.
type MLD6Stats struct {
	InQueries, InReports, InErrors, OutReports uint64
}

// ARPStats count address resolution.
type ARPStats struct {
	InRequests, InReplies, OutRequests, OutReplies uint64
	Updates, Expired, Conflicts                    uint64
}

// UDPStats is the udp group of RFC 4113.
type UDPStats struct {
	InDatagrams, NoPorts, InErrors, OutDatagrams uint64
}

// TCPStats is the tcp group of RFC 4022 and what a generator wants beside it.
type TCPStats struct {
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets uint64
	CurrEstab                                            uint64 // gauge
	InSegs, OutSegs, RetransSegs, InErrs, OutRsts        uint64

	InOctets, OutOctets uint64 // application data
	PureAcksIn          uint64
	DelayedAcks         uint64
	PredictedHits       uint64 // segments of open connections that took header prediction
	DupAcksIn           uint64
	FastRetransmits     uint64
	SpuriousRecoveries  uint64 // taken back (RFC 4015)
	DSACKsIn            uint64 // RFC 2883
	LossProbes          uint64 // RFC 8985 7
	Timeouts            uint64
	PersistProbes       uint64
	KeepaliveProbes     uint64
	OutOfOrderIn        uint64
	DupSegsIn           uint64
	ListenOverflows     uint64
	TimeWaits           uint64 // entered
	TimeWaitReused      uint64
	CurrPCBs            uint64 // gauge, all states

	// Defence.
	ChallengeAcks        uint64 // RFC 5961
	ChallengeAcksLimited uint64 // left out: the stack had sent enough
	ChallengeAcksConn    uint64 // or the connection
	RstsLimited          uint64
	SynCookiesSent       uint64 // RFC 4987 3.6
	SynCookiesRecv       uint64 // that opened a connection
	SynCookiesFailed     uint64
	OutOfOrderMem        uint64 // segments out of order beyond the budget
	SoftErrors           uint64 // ICMP errors that were noted (RFC 5927 6)
	ICMPRejected         uint64 // that quote nothing in flight (RFC 5927 4.1)
	PathMTULowered       uint64 // RFC 1191
	MTUClaims            uint64 // that wait for progress to stop (RFC 5927 7.2)
	MTUClaimsFalse       uint64 // of these, disproved by progress
	BlackHoles           uint64 // RFC 4821 7.7
	PathMTUExpired       uint64 // entries of the cache that were forgotten
	MTUProbes            uint64 // RFC 4821: sent, arrived, lost for their length
	MTUProbesArrived     uint64
	MTUProbesLost        uint64
	RecvBufGrown         uint64 // by autotuning
	SendBufGrown         uint64
	UserTimeouts         uint64 // connections given up (RFC 5482)

	// Fast Open (RFC 7413), the client.
	FastOpenActive      uint64 // SYNs all of whose data was acknowledged
	FastOpenActiveFail  uint64 // and not, so that it was sent again
	FastOpenCookiesRecv uint64
	FastOpenPaused      uint64 // attempts left out after failures
	FastOpenNoRoom      uint64 // or for want of room for the option, or of a buffer
	FastOpenBlackHoles  uint64 // that had all attempts left out for a while
	// The server.
	FastOpenPassive     uint64 // connections that the user had with the SYN
	FastOpenPassiveFail uint64 // SYNs whose cookie was not good, or whose data found no buffer
	FastOpenOldKey      uint64 // that were, by the key before
	FastOpenCookieReqs  uint64
	FastOpenOverflows   uint64 // SYNs beyond FastOpen.Pending
	FastOpenResets      uint64 // before the handshake was through
}

// Add adds o's counters to s, for totals over shards. Gauges add up too.
func (s *Stats) Add(o *Stats) { addWords(s, o) }

// Dropped is the number of packets dropped for any reason.
func (s *Stats) Dropped() (n uint64) {
	for _, v := range s.Drops {
		n += v
	}
	return n
}
