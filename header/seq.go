package header

// Seq is a TCP sequence number. The space is a circle of 2³² numbers: all
// comparisons are modulo 2³² (RFC 9293 3.4) and mean something only for
// numbers less than 2³¹ apart, which windows of at most 2³⁰ bytes (RFC 7323
// 2.3) guarantee. Never compare two Seq with < or >.
type Seq uint32

// Less tells whether a comes before b.
func (a Seq) Less(b Seq) bool { return int32(a-b) < 0 }

// LessEq tells whether a comes before b or is b.
func (a Seq) LessEq(b Seq) bool { return int32(b-a) >= 0 }

// Greater tells whether a comes after b.
func (a Seq) Greater(b Seq) bool { return int32(b-a) < 0 }

// GreaterEq tells whether a comes after b or is b.
func (a Seq) GreaterEq(b Seq) bool { return int32(a-b) >= 0 }

// InRange tells whether a is in [from, to), walking up the circle. The range
// may be longer than 2³¹; from == to is empty.
func (a Seq) InRange(from, to Seq) bool { return a-from < to-from }

// InWindow tells whether a is one of the n numbers from start on:
// start =< a < start+n (RFC 9293 3.4).
func (a Seq) InWindow(start Seq, n uint32) bool { return uint32(a-start) < n }

// Add returns the number n after a.
func (a Seq) Add(n uint32) Seq { return a + Seq(n) }

// Sub returns how far a is after b: the n for which b.Add(n) == a.
func (a Seq) Sub(b Seq) uint32 { return uint32(a - b) }

// Diff returns the signed distance from b to a: negative if a comes before b.
func (a Seq) Diff(b Seq) int32 { return int32(a - b) }

// MaxSeq returns the later of a and b.
func MaxSeq(a, b Seq) Seq {
	if a.Less(b) {
		return b
	}
	return a
}

// MinSeq returns the earlier of a and b.
func MinSeq(a, b Seq) Seq {
	if b.Less(a) {
		return b
	}
	return a
}
