package header

import "encoding/binary"

// TCP option kinds (RFC 9293 3.2, and as said).
const (
	TCPOptEnd           = 0
	TCPOptNOP           = 1
	TCPOptMSS           = 2
	TCPOptWScale        = 3  // RFC 7323 2.2
	TCPOptSACKPermitted = 4  // RFC 2018 2
	TCPOptSACK          = 5  // RFC 2018 3
	TCPOptTimestamp     = 8  // RFC 7323 3.2
	TCPOptUserTimeout   = 28 // RFC 5482 4
	TCPOptFastOpen      = 34 // RFC 7413 4.1.1
	TCPOptExperiment    = 254
)

// TCPExpFastOpen is what an experimental option begins with that means Fast Open
// (RFC 6994 3, RFC 7413 9).
const TCPExpFastOpen = 0xf989

// TCPMaxWScale is the largest window scale shift (RFC 7323 2.3).
const TCPMaxWScale = 14

// timestampWord is NOP NOP TS 10, the layout recommended by RFC 7323
// appendix A.
const timestampWord = TCPOptNOP<<24 | TCPOptNOP<<16 | TCPOptTimestamp<<8 | 10

// SACKBlock is a stretch of bytes that arrived: [Left, Right).
type SACKBlock struct{ Left, Right Seq }

// TCPOptions is what the options of one segment say. MSS, WScale,
// SACKPermitted and FastOpen mean something in SYN segments only; a receiver
// ignores them elsewhere.
type TCPOptions struct {
	MSS            uint16 // 0 = absent
	WScale         int8   // 0 to 14; -1 = absent
	SACKPermitted  bool
	HasTS          bool
	HasFastOpen    bool
	FastOpenExp    bool // it came as an experimental option (RFC 7413 9)
	HasUserTimeout bool
	NSACK          uint8 // blocks in SACK
	FastOpenOff    uint8 // where in the parsed bytes the cookie starts
	FastOpenLen    uint8 // 4 to 16, even; 0 = a cookie is asked for
	// UserTimeout counts seconds or, with UserTimeoutMinutes, minutes.
	UserTimeout  uint16
	TSVal, TSEcr uint32
	SACK         [4]SACKBlock
}

// ParseTCPOptions is the gate of TCP options: b is what lies between the 20
// bytes and the data offset. It sets all of *o. Options end at kind 0 or with
// b; unknown ones are skipped by their length (RFC 9293 3.1 MUST-6); a length
// that is too small, overruns b, or is not that of the option is
// FaultTCPOption, with *o unspecified (MUST-7). A shift above 14 counts as 14
// (RFC 7323 2.3). Of options given twice the last counts.
func ParseTCPOptions(b []byte, o *TCPOptions) Fault {
	*o = TCPOptions{}
	if o.parseSYN(b) {
		return OK
	}
	o.WScale = -1
	return o.parse(b, o.parseWords(b))
}

// parseSYN takes what the SYNs of nearly all connections say, laid out as PutSYN
// does it or as Linux: compared in wide words. False: it is another layout.
func (o *TCPOptions) parseSYN(b []byte) bool {
	var scale, ts uint64
	switch len(b) {
	case TCPSYNLen:
		w := binary.BigEndian.Uint64(b)
		if w&^synVaries != synWords || binary.BigEndian.Uint64(b[8:]) != sackThenTS {
			return false
		}
		o.MSS, scale, ts = uint16(w>>32), w&0xff, binary.BigEndian.Uint64(b[16:])
	case linuxSYNLen:
		w, ws := binary.BigEndian.Uint64(b), uint64(binary.BigEndian.Uint32(b[16:]))
		if w&^(0xffff<<32) != linuxWords || ws>>8 != wscaleWord>>8 {
			return false
		}
		o.MSS, scale, ts = uint16(w>>32), ws&0xff, binary.BigEndian.Uint64(b[8:])
	default:
		return false
	}
	o.WScale, o.SACKPermitted, o.HasTS = int8(min(scale, TCPMaxWScale)), true, true
	o.TSVal, o.TSEcr = uint32(ts>>32), uint32(ts)
	return true
}

// What those layouts are made of: MSS and scale vary in the first word of ours, and
// the MSS in that of Linux.
const (
	mssWord     = TCPOptMSS<<24 | 4<<16
	wscaleWord  = TCPOptNOP<<24 | TCPOptWScale<<16 | 3<<8
	sackWord    = TCPOptNOP<<24 | TCPOptNOP<<16 | TCPOptSACKPermitted<<8 | 2
	synWords    = mssWord<<32 | wscaleWord
	synVaries   = 0xffff<<32 | 0xff
	sackThenTS  = sackWord<<32 | timestampWord
	linuxWords  = mssWord<<32 | TCPOptSACKPermitted<<24 | 2<<16 | TCPOptTimestamp<<8 | 10
	linuxSYNLen = TCPMSSLen + TCPTimestampLen + TCPWScaleLen
)

// parseWords takes the options of SYNs as nearly everybody lays them out, each in
// words of its own or sharing one, and returns how far it came.
func (o *TCPOptions) parseWords(b []byte) int {
	const (
		mss    = TCPOptMSS<<8 | 4
		wscale = TCPOptNOP<<16 | TCPOptWScale<<8 | 3
		sack   = TCPOptNOP<<24 | TCPOptNOP<<16 | TCPOptSACKPermitted<<8 | 2
		ts     = TCPOptTimestamp<<8 | 10
		nopTS  = TCPOptNOP<<24 | TCPOptNOP<<16 | ts
		sackTS = TCPOptSACKPermitted<<24 | 2<<16 | ts // Linux
	)
	r := b
	for len(r) >= 4 {
		switch w := binary.BigEndian.Uint32(r); {
		case w>>16 == mss:
			o.MSS = uint16(w)
		case w>>8 == wscale:
			o.WScale = int8(min(w&0xff, TCPMaxWScale))
		case w == sack:
			o.SACKPermitted = true
		case (w == nopTS || w == sackTS) && len(r) >= 12:
			o.SACKPermitted = o.SACKPermitted || w == sackTS
			o.HasTS = true
			o.TSVal, o.TSEcr = binary.BigEndian.Uint32(r[4:]), binary.BigEndian.Uint32(r[8:])
			r = r[8:]
		default:
			return len(b) - len(r)
		}
		r = r[4:]
	}
	return len(b) - len(r)
}

// parse takes the options of b from offset at on, one by one.
func (o *TCPOptions) parse(b []byte, at int) Fault {
	for r := b[at:]; len(r) > 0; {
		kind := r[0]
		if kind == TCPOptNOP {
			r = r[1:]
			continue
		}
		if kind == TCPOptEnd {
			return OK
		}
		if len(r) < 2 {
			return FaultTCPOption
		}
		n := int(r[1])
		if n < 2 || n > len(r) {
			return FaultTCPOption
		}
		if !o.set(kind, r[2:n], len(b)-len(r)+2) {
			return FaultTCPOption
		}
		r = r[n:]
	}
	return OK
}

// set takes one option with its value v, which starts at offset off. It
// reports whether the length of v is one that the kind can have.
func (o *TCPOptions) set(kind byte, v []byte, off int) bool {
	switch kind {
	case TCPOptMSS:
		if len(v) != 2 {
			return false
		}
		o.MSS = binary.BigEndian.Uint16(v)
	case TCPOptWScale:
		if len(v) != 1 {
			return false
		}
		o.WScale = int8(min(v[0], TCPMaxWScale))
	case TCPOptSACKPermitted:
		if len(v) != 0 {
			return false
		}
		o.SACKPermitted = true
	case TCPOptTimestamp:
		if len(v) != 8 {
			return false
		}
		o.HasTS = true
		o.TSVal, o.TSEcr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case TCPOptUserTimeout:
		if len(v) != 2 {
			return false
		}
		o.HasUserTimeout = true
		o.UserTimeout = binary.BigEndian.Uint16(v)
	case TCPOptSACK:
		return o.setSACK(v)
	case TCPOptFastOpen:
		o.setFastOpen(v, off, false)
	case TCPOptExperiment:
		if len(v) >= 2 && binary.BigEndian.Uint16(v) == TCPExpFastOpen {
			o.setFastOpen(v[2:], off+2, true)
		}
	}
	return true
}

// setFastOpen takes a Fast Open option, whose cookie starts at offset off. One
// whose cookie is neither empty nor of 4 to 16 bytes and even is ignored (RFC 7413
// 4.1.1).
func (o *TCPOptions) setFastOpen(cookie []byte, off int, exp bool) {
	n := len(cookie)
	if n != 0 && (n < TCPFastOpenLeast || n > TCPFastOpenMost || n&1 != 0) {
		return
	}
	o.HasFastOpen, o.FastOpenExp = true, exp
	o.FastOpenOff, o.FastOpenLen = uint8(off), uint8(n)
}

// setSACK takes the blocks of a SACK option (RFC 2018 3).
func (o *TCPOptions) setSACK(v []byte) bool {
	if len(v) == 0 || len(v)&7 != 0 || len(v) > 8*len(o.SACK) {
		return false
	}
	o.NSACK = uint8(len(v) >> 3)
	for i := range o.SACK {
		if len(v) < 8 {
			break
		}
		o.SACK[i].Left = Seq(binary.BigEndian.Uint32(v))
		o.SACK[i].Right = Seq(binary.BigEndian.Uint32(v[4:]))
		v = v[8:]
	}
	return true
}

// ParseTimestampFast takes options that are exactly NOP NOP and a timestamp
// (RFC 7323 appendix A), as nearly all segments of a connection with
// timestamps have them. ok is false for any other layout: parse those with
// ParseTCPOptions.
func ParseTimestampFast(b []byte) (tsval, tsecr uint32, ok bool) {
	if len(b) != TCPTimestampLen || binary.BigEndian.Uint32(b) != timestampWord {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), true
}

// OnlyTimestamp makes *o the options of a segment that has nothing but a timestamp,
// as ParseTCPOptions does but for SACK, of which there are no blocks.
func (o *TCPOptions) OnlyTimestamp(tsval, tsecr uint32) {
	// One by one, as a literal would be made elsewhere and copied.
	o.MSS, o.WScale, o.SACKPermitted = 0, -1, false
	o.HasFastOpen, o.FastOpenExp, o.FastOpenOff, o.FastOpenLen = false, false, 0, 0
	o.HasUserTimeout, o.UserTimeout = false, 0
	o.HasTS, o.TSVal, o.TSEcr, o.NSACK = true, tsval, tsecr, 0
}

// Bounds of a Fast Open cookie's length (RFC 7413 4.1.1).
const (
	TCPFastOpenLeast = 4
	TCPFastOpenMost  = 16
)

// FastOpenLen is what PutFastOpen writes for a cookie of n bytes.
func FastOpenLen(n int, exp bool) int {
	if exp {
		n += 2
	}
	return (n + 2 + 3) &^ 3
}

// PutFastOpen writes a Fast Open option (RFC 7413 4.1.1), or with exp the
// experimental one (9), and NOPs behind it to b, which has room for it, and
// returns the bytes written: FastOpenLen. No cookie asks for one; else it is of 4 to
// 16 bytes and even.
func PutFastOpen(b, cookie []byte, exp bool) int {
	n := 2
	if exp {
		b[0] = TCPOptExperiment
		binary.BigEndian.PutUint16(b[2:], TCPExpFastOpen)
		n = 4
	} else {
		b[0] = TCPOptFastOpen
	}
	n += copy(b[n:n+len(cookie)], cookie)
	b[1] = byte(n)
	for ; n&3 != 0; n++ {
		b[n] = TCPOptNOP
	}
	return n
}

// PutSACKTimestamp writes a SACK permitted option and a timestamp as Linux does,
// the one in the place of the other's padding, to b, which has room for it, and
// returns the bytes written: 12.
func PutSACKTimestamp(b []byte, tsval, tsecr uint32) int {
	n := PutTimestamp(b, tsval, tsecr)
	b[0], b[1] = TCPOptSACKPermitted, 2
	return n
}

// Bytes that the encoders below write. All are multiples of 4, padded with NOP
// in front, so that they can follow each other in any order; a SACK option with
// n blocks takes TCPSACKLen + 8n.
const (
	TCPMSSLen           = 4
	TCPWScaleLen        = 4
	TCPSACKPermittedLen = 4
	TCPTimestampLen     = 12
	TCPSACKLen          = 4
	TCPUserTimeoutLen   = 4
)

// PutMSS writes a maximum segment size option (RFC 9293 3.7.1) to b, which has
// room for it, and returns the bytes written: 4.
func PutMSS(b []byte, mss uint16) int {
	binary.BigEndian.PutUint32(b, TCPOptMSS<<24|4<<16|uint32(mss))
	return TCPMSSLen
}

// PutWScale writes NOP and a window scale option (RFC 7323 2.2) to b, which has
// room for it, and returns the bytes written: 4. shift is at most 14.
func PutWScale(b []byte, shift uint8) int {
	binary.BigEndian.PutUint32(b, TCPOptNOP<<24|TCPOptWScale<<16|3<<8|uint32(shift))
	return TCPWScaleLen
}

// PutSACKPermitted writes NOP NOP and a SACK permitted option (RFC 2018 2) to
// b, which has room for it, and returns the bytes written: 4.
func PutSACKPermitted(b []byte) int {
	binary.BigEndian.PutUint32(b, TCPOptNOP<<24|TCPOptNOP<<16|TCPOptSACKPermitted<<8|2)
	return TCPSACKPermittedLen
}

// TCPSYNLen is what PutSYN writes.
const TCPSYNLen = TCPMSSLen + TCPWScaleLen + TCPSACKPermittedLen + TCPTimestampLen

// PutSYN writes what PutMSS, PutWScale, PutSACKPermitted and PutTimestamp do, one
// behind the other, to b, which has room for it, and returns what that adds to
// TCP4Fields.Sum.
func PutSYN(b []byte, mss uint16, shift uint8, tsval, tsecr uint32) uint64 {
	_ = b[TCPSYNLen-1]
	w := uint64(synWords) | uint64(mss)<<32 | uint64(shift)
	ts := uint64(tsval)<<32 | uint64(tsecr)
	binary.BigEndian.PutUint64(b, w)
	binary.BigEndian.PutUint64(b[8:], sackThenTS)
	binary.BigEndian.PutUint64(b[16:], ts)
	return w>>32 + w&0xffffffff + sackWord + TimestampSum(tsval, tsecr)
}

// PutTimestamp writes NOP NOP and a timestamp option (RFC 7323 3.2 and appendix
// A) to b, which has room for it, and returns the bytes written: 12.
func PutTimestamp(b []byte, tsval, tsecr uint32) int {
	_ = b[TCPTimestampLen-1]
	binary.BigEndian.PutUint32(b, timestampWord)
	binary.BigEndian.PutUint32(b[4:], tsval)
	binary.BigEndian.PutUint32(b[8:], tsecr)
	return TCPTimestampLen
}

// UserTimeoutMinutes is the granularity bit of a user timeout: the rest counts
// minutes, not seconds (RFC 5482 4).
const UserTimeoutMinutes = 1 << 15

// PutUserTimeout writes a user timeout option (RFC 5482 4) to b, which has room
// for it, and returns the bytes written: 4.
func PutUserTimeout(b []byte, v uint16) int {
	binary.BigEndian.PutUint32(b, TCPOptUserTimeout<<24|4<<16|uint32(v))
	return TCPUserTimeoutLen
}

// PutSACK writes NOP NOP and a SACK option (RFC 2018 3) with as many of blocks,
// from the first on, as fit b and the option (4), and returns the bytes
// written: 4 + 8 per block, or 0 if there is no block or no room for one.
func PutSACK(b []byte, blocks []SACKBlock) int {
	n := min(len(blocks), 4, (len(b)-TCPSACKLen)/8)
	if n <= 0 {
		return 0
	}
	binary.BigEndian.PutUint32(b, TCPOptNOP<<24|TCPOptNOP<<16|TCPOptSACK<<8|uint32(2+8*n))
	off := TCPSACKLen
	for _, k := range blocks[:n] {
		binary.BigEndian.PutUint32(b[off:], uint32(k.Left))
		binary.BigEndian.PutUint32(b[off+4:], uint32(k.Right))
		off += 8
	}
	return off
}
