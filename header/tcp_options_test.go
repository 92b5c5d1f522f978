package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// parseOptions parses b, which must be right.
func parseOptions(t *testing.T, b []byte) TCPOptions {
	t.Helper()
	o := TCPOptions{MSS: 1, HasTS: true, NSACK: 3} // leftovers
	require.Equal(t, OK, ParseTCPOptions(b, &o))
	return o
}

func TestRFC9293_3_1_NoOptions(t *testing.T) {
	for _, b := range [][]byte{nil, {TCPOptEnd}, {TCPOptNOP, TCPOptNOP}, {TCPOptNOP, TCPOptEnd, TCPOptMSS, 0}} {
		require.Equal(t, TCPOptions{WScale: -1}, parseOptions(t, b))
	}
}

func TestRFC9293_3_7_1_MSS(t *testing.T) {
	b := make([]byte, 4)
	require.Equal(t, TCPMSSLen, PutMSS(b, 1460))
	require.Equal(t, []byte{2, 4, 0x05, 0xb4}, b)
	require.Equal(t, uint16(1460), parseOptions(t, b).MSS)
}

// TestRFC7323_2_3_ShiftIsAtMost14: a larger one counts as 14.
func TestRFC7323_2_3_ShiftIsAtMost14(t *testing.T) {
	b := make([]byte, 4)
	for shift := range 256 {
		require.Equal(t, TCPWScaleLen, PutWScale(b, uint8(shift)))
		require.Equal(t, []byte{1, 3, 3, byte(shift)}, b)
		require.Equal(t, int8(min(shift, 14)), parseOptions(t, b).WScale)
	}
}

func TestRFC2018_2_SACKPermitted(t *testing.T) {
	b := make([]byte, 4)
	require.Equal(t, TCPSACKPermittedLen, PutSACKPermitted(b))
	require.Equal(t, []byte{1, 1, 4, 2}, b)
	require.True(t, parseOptions(t, b).SACKPermitted)
}

func TestRFC7323_3_2_Timestamp(t *testing.T) {
	b := make([]byte, 12)
	require.Equal(t, TCPTimestampLen, PutTimestamp(b, 0x01020304, 0xfffefdfc))
	require.Equal(t, []byte{1, 1, 8, 10, 1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc}, b)
	o := parseOptions(t, b)
	require.Equal(t, TCPOptions{WScale: -1, HasTS: true, TSVal: 0x01020304, TSEcr: 0xfffefdfc}, o)
}

// TestRFC7323_AppendixA_FastPath: that layout and no other.
func TestRFC7323_AppendixA_FastPath(t *testing.T) {
	b := make([]byte, 16)
	PutTimestamp(b, 5, 6)
	val, ecr, ok := ParseTimestampFast(b[:12])
	require.True(t, ok)
	require.Equal(t, []uint32{5, 6}, []uint32{val, ecr})
	for n := range 17 {
		if n != 12 {
			_, _, ok = ParseTimestampFast(b[:n])
			require.False(t, ok)
		}
	}
	for i := range 4 {
		b[i] ^= 1
		_, _, ok = ParseTimestampFast(b[:12])
		require.False(t, ok)
		b[i] ^= 1
	}
}

func TestRFC2018_3_SACKBlocks(t *testing.T) {
	blocks := []SACKBlock{{1, 2}, {0xfffffff0, 0x10}, {5, 6}, {7, 8}, {9, 10}}
	for n := range 6 {
		b := make([]byte, TCPMaxOptions)
		got := PutSACK(b, blocks[:n])
		want := min(n, 4)
		o := parseOptions(t, b[:got])
		require.Equal(t, uint8(want), o.NSACK)
		if n == 0 {
			require.Zero(t, got)
			continue
		}
		require.Equal(t, TCPSACKLen+8*want, got)
		require.Equal(t, []byte{1, 1, 5, byte(2 + 8*want)}, b[:4])
		require.Equal(t, blocks[:want], o.SACK[:want])
	}
}

// TestRFC2018_3_AsManyBlocksAsFit: beside timestamps there is room for three.
func TestRFC2018_3_AsManyBlocksAsFit(t *testing.T) {
	blocks := make([]SACKBlock, 4)
	for room, want := range map[int]int{0: 0, 3: 0, 11: 0, 12: 12, 19: 12, 20: 20, 28: 28, 35: 28, 36: 36, 40: 36} {
		require.Equal(t, want, PutSACK(make([]byte, room), blocks), room)
	}
}

// TestRFC9293_3_1_MUST6_UnknownOptions are skipped by their length.
func TestRFC9293_3_1_MUST6_UnknownOptions(t *testing.T) {
	o := parseOptions(t, []byte{19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 254, 2, 2, 4, 2, 0x18})
	require.Equal(t, TCPOptions{MSS: 536, WScale: -1}, o)
}

// TestRFC9293_3_1_MUST7_IllegalLengths are a fault and never a loop.
func TestRFC9293_3_1_MUST7_IllegalLengths(t *testing.T) {
	for name, b := range map[string][]byte{
		"no length":        {1, 8},
		"zero":             {19, 0, 0, 0},
		"one":              {19, 1, 0, 0},
		"beyond the end":   {1, 1, 19, 3},
		"MSS 3":            {2, 3, 5, 0},
		"MSS 5":            {2, 5, 5, 0, 0},
		"scale 2":          {3, 2, 0, 0},
		"scale 4":          {3, 4, 0, 0},
		"SACK permitted 3": {4, 3, 0, 0},
		"timestamp 9":      {8, 9, 0, 0, 0, 0, 0, 0, 0},
		"timestamp 11":     {8, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"SACK of none":     {5, 2, 0, 0},
		"SACK of a half":   {5, 6, 0, 0, 0, 0},
		"SACK of five":     append([]byte{5, 42}, make([]byte, 40)...),
	} {
		t.Run(name, func(t *testing.T) {
			var o TCPOptions
			require.Equal(t, FaultTCPOption, ParseTCPOptions(b, &o))
		})
	}
}

func TestRFC7413_4_1_1_FastOpenCookie(t *testing.T) {
	o := parseOptions(t, []byte{1, 1, 34, 2})
	require.True(t, o.HasFastOpen)
	require.Zero(t, o.FastOpenLen, "a cookie is asked for")
	for n := 4; n <= 16; n += 2 {
		b := append([]byte{1, 34, byte(2 + n)}, randomBytes(n, 1)...)
		o = parseOptions(t, b)
		require.True(t, o.HasFastOpen)
		require.Equal(t, b[3:], b[o.FastOpenOff:o.FastOpenOff+o.FastOpenLen])
	}
}

// TestRFC7413_4_1_1_IllegalCookieLengths: such an option is ignored, the segment is
// not.
func TestRFC7413_4_1_1_IllegalCookieLengths(t *testing.T) {
	for name, b := range map[string][]byte{
		"1":    {34, 3, 1},
		"2":    {34, 4, 1, 2},
		"5":    {34, 7, 1, 2, 3, 4, 5},
		"17":   append([]byte{34, 19}, make([]byte, 17)...),
		"18":   append([]byte{34, 20}, make([]byte, 18)...),
		"exp2": {254, 6, 0xf9, 0x89, 1, 2},
		"exp5": {254, 9, 0xf9, 0x89, 1, 2, 3, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			o := parseOptions(t, append(b, 2, 4, 2, 0x18))
			require.Equal(t, TCPOptions{MSS: 536, WScale: -1}, o)
		})
	}
}

// TestRFC7413_9_ExperimentalOption: kind 254 with Fast Open's identifier means the
// same; with another it means nothing to us (RFC 6994 3).
func TestRFC7413_9_ExperimentalOption(t *testing.T) {
	o := parseOptions(t, []byte{254, 4, 0xf9, 0x89})
	require.True(t, o.HasFastOpen && o.FastOpenExp)
	require.Zero(t, o.FastOpenLen)
	b := []byte{1, 254, 8, 0xf9, 0x89, 1, 2, 3, 4}
	o = parseOptions(t, b)
	require.True(t, o.HasFastOpen && o.FastOpenExp)
	require.Equal(t, []byte{1, 2, 3, 4}, b[o.FastOpenOff:o.FastOpenOff+o.FastOpenLen])
	for _, b := range [][]byte{{254, 8, 0xf9, 0x88, 1, 2, 3, 4}, {253, 8, 0xf9, 0x89, 1, 2, 3, 4}, {254, 2}, {254, 3, 0xf9}} {
		require.False(t, func() bool { o := parseOptions(t, b); return o.HasFastOpen }(), "%x", b)
	}
}

// TestRFC7413_4_1_1_PutFastOpen writes options of every length that there is.
func TestRFC7413_4_1_1_PutFastOpen(t *testing.T) {
	for _, exp := range []bool{false, true} {
		for n := 0; n <= TCPFastOpenMost; n += 2 {
			if n == 2 {
				continue
			}
			b := make([]byte, TCPMaxOptions)
			cookie := randomBytes(n, 7)
			k := PutFastOpen(b, cookie, exp)
			require.Equal(t, FastOpenLen(n, exp), k)
			require.Zero(t, k&3)
			o := parseOptions(t, b[:k])
			require.True(t, o.HasFastOpen)
			require.Equal(t, exp, o.FastOpenExp)
			require.Equal(t, cookie, b[o.FastOpenOff:o.FastOpenOff+o.FastOpenLen])
			require.Zero(t, b[k])
		}
	}
	b := make([]byte, 12)
	require.Equal(t, 12, PutSACKTimestamp(b, 1, 2))
	require.Equal(t, TCPOptions{WScale: -1, SACKPermitted: true, HasTS: true, TSVal: 1, TSEcr: 2}, parseOptions(t, b))
}

// TestSYNOptionsTogether parses what a SYN usually has, in our order and in
// Linux's, which saves the padding.
func TestSYNOptionsTogether(t *testing.T) {
	want := TCPOptions{MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 1, TSEcr: 2}
	b := make([]byte, TCPMaxOptions)
	n := PutMSS(b, 1460)
	n += PutSACKPermitted(b[n:])
	n += PutTimestamp(b[n:], 1, 2)
	n += PutWScale(b[n:], 7)
	require.Equal(t, 24, n)
	require.Equal(t, want, parseOptions(t, b[:n]))
	linux := []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}
	require.Equal(t, want, parseOptions(t, linux))
}

func TestOptionEncodersNeedRoom(t *testing.T) {
	require.Panics(t, func() { PutMSS(make([]byte, 3), 1) })
	require.Panics(t, func() { PutWScale(make([]byte, 3), 1) })
	require.Panics(t, func() { PutSACKPermitted(make([]byte, 3)) })
	require.Panics(t, func() { PutTimestamp(make([]byte, 11), 1, 1) })
}
