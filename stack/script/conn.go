package script

import (
	"bytes"
	"net/netip"
)

// connState is how far a connection of the script has come, as far as the
// translation of numbers needs it.
type connState uint8

const (
	connInit       connState = iota // socket() was called
	connListening                   // listen() was called
	connConnecting                  // connect() was called, nothing sent yet
	connSynSent                     // the script has spoken of our SYN
	connSynRcvd                     // the peer's SYN came
	connOpen
)

// conn is a flow that the script speaks of, with what translates between its
// numbers and the live ones. Sequence numbers of the script are relative, but
// those of SYN segments are as named; remote ones are live as named.
type conn struct {
	state    connState
	proto    uint8
	sock     *sock // nil: not known, or gone
	local    netip.AddrPort
	remote   netip.AddrPort
	explicit bool // the script names its ports

	scriptISN uint32            // ours, in the script
	liveISN   uint32            // ours
	remoteISN uint32            // the peer's, in both
	lastSYN   uint32            // sequence number of the peer's latest SYN
	tsLive    map[uint32]uint32 // timestamp values: script's → live
	tsKnown   bool
	tsScript0 uint32 // the first pair
	tsLive0   uint32
	cookies   map[string]string // Fast Open cookies: script's → live
	exact     bool              // cookies are as the script says, as their key is
	flows     map[int]int       // flow labels: script's → live
	stream    *stream           // what the user wrote
}

// stream is what a user of a connection has written, to compare what is sent
// with.
type stream struct{ b []byte }

// pattern is the payload of data that a script does not spell out, by its place
// in the stream: never the same for two places near each other, so that bytes
// that are lost, doubled or swapped show.
func pattern(off int) byte {
	return byte(off) ^ byte(off>>8)*31 ^ byte(off>>16)*17
}

// fill is n bytes of pattern from an offset on.
func fill(off, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(off + i)
	}
	return b
}

// sentBytes reports whether the payload of a packet that the stack sent, in
// script numbers, is what the user wrote there.
func (c *conn) sentBytes(k *Packet) bool {
	if k.Proto == protoUDP || c.stream == nil {
		return true
	}
	off := int(k.Seq) - 1
	if k.Flags&flagSYN != 0 {
		off = 0
	}
	if off < 0 || off >= len(c.stream.b) && k.Len > 0 && off > len(c.stream.b) {
		return true // keepalives and probes of the window repeat old bytes
	}
	end := off + len(k.data)
	return end <= len(c.stream.b) && bytes.Equal(c.stream.b[off:end], k.data)
}

// seqOut is what turns our live sequence numbers into the script's, by adding.
func (c *conn) seqOut(syn bool) uint32 {
	if syn {
		return c.scriptISN - c.liveISN
	}
	return -c.liveISN
}

// ackOut is what turns the peer's live numbers into the script's.
func (c *conn) ackOut(syn bool) uint32 {
	if syn {
		return 0
	}
	return -c.remoteISN
}

// toScript translates a packet that the stack sent.
func (c *conn) toScript(live *Packet, want *Packet) *Packet {
	k := *live
	if want.SrcPort == 0 || want.DstPort == 0 {
		k.SrcPort, k.DstPort = 0, 0
	}
	if live.Proto == protoICMP && live.Echo != nil && live.Echo.Proto == protoTCP {
		e := *live.Echo
		e.Seq -= c.remoteISN // an inbound segment is quoted
		k.Echo = &e
	}
	if live.Proto != protoTCP {
		return &k
	}
	syn := k.Flags&flagSYN != 0
	k.Seq += c.seqOut(syn)
	if k.Flags&flagACK != 0 {
		k.Ack += c.ackOut(syn)
	}
	k.Opts = append([]TCPOption(nil), live.Opts...)
	for i := range k.Opts {
		o := &k.Opts[i]
		switch o.Kind {
		case optSACK:
			blocks := make([][2]uint32, len(o.Blocks))
			for j, b := range o.Blocks {
				blocks[j] = [2]uint32{b[0] + c.ackOut(syn), b[1] + c.ackOut(syn)}
			}
			o.Blocks = blocks
		case optTS:
			if c.tsKnown {
				o.Num = c.tsScript0 + (o.Num - c.tsLive0)
			}
		case optFastOpen, optExp:
			for s, l := range c.cookies {
				if l == string(o.Data) {
					o.Data = []byte(s)
					break
				}
			}
		}
	}
	return &k
}

// learn notes the live values that stand behind the script's in a packet that
// is expected: the first timestamps, and a cookie that we grant.
func (c *conn) learn(want, live *Packet) {
	if w, l := find(want.Opts, optTS), find(live.Opts, optTS); w != nil && l != nil {
		if c.tsLive == nil {
			c.tsLive = map[uint32]uint32{}
		}
		c.tsLive[w.Num] = l.Num
		if !c.tsKnown {
			c.tsKnown, c.tsScript0, c.tsLive0 = true, w.Num, l.Num
		}
	}
	const synAck = flagSYN | flagACK
	if want.Flags&synAck != synAck || c.exact {
		return
	}
	for _, kind := range []uint8{optFastOpen, optExp} {
		if w, l := find(want.Opts, kind), find(live.Opts, kind); w != nil && l != nil && len(w.Data) == len(l.Data) && len(w.Data) > 0 {
			if _, known := c.cookies[string(w.Data)]; !known {
				c.cookies[string(w.Data)] = string(l.Data)
			}
		}
	}
}

// toLive translates a packet of the peer.
func (c *conn) toLive(k *Packet, scaled bool) (*Packet, error) {
	live := *k
	if e := k.Echo; e != nil && e.Proto == protoTCP {
		echo := *e
		echo.Seq += c.liveISN
		live.Echo = &echo
	}
	if k.Proto != protoTCP {
		return &live, nil
	}
	syn := k.Flags&flagSYN != 0
	if !syn {
		live.Seq += c.remoteISN
	}
	if k.Flags&flagACK != 0 {
		live.Ack -= c.seqOut(syn)
	}
	live.Opts = append([]TCPOption(nil), k.Opts...)
	for i := range live.Opts {
		o := &live.Opts[i]
		switch o.Kind {
		case optSACK:
			blocks := make([][2]uint32, len(o.Blocks))
			for j, b := range o.Blocks {
				blocks[j] = [2]uint32{b[0] - c.seqOut(syn), b[1] - c.seqOut(syn)}
			}
			o.Blocks = blocks
		case optTS:
			if k.Flags&flagACK == 0 {
				break
			}
			if l, ok := c.tsLive[o.Ecr]; ok {
				o.Ecr = l
			} else if scaled && c.tsKnown {
				o.Ecr = o.Ecr - c.tsScript0 + c.tsLive0
			} else {
				return nil, mismatch(k.Line, "TS ecr %d echoes no timestamp that an expected packet has named", o.Ecr)
			}
		case optFastOpen, optExp:
			if l, ok := c.cookies[string(o.Data)]; ok {
				o.Data = []byte(l)
			}
		}
	}
	return &live, nil
}
