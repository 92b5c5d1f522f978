package header

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The short way through options gives what going through them one by one does.
func TestTCPOptionsByWordsAndOneByOne(t *testing.T) {
	pieces := [][]byte{
		{TCPOptMSS, 4, 5, 0xb4}, {TCPOptNOP, TCPOptWScale, 3, 7}, {TCPOptNOP, TCPOptWScale, 3, 200},
		{TCPOptNOP, TCPOptNOP, TCPOptSACKPermitted, 2}, {TCPOptSACKPermitted, 2, TCPOptTimestamp, 10, 1, 2, 3, 4, 5, 6, 7, 8},
		{TCPOptNOP, TCPOptNOP, TCPOptTimestamp, 10, 9, 8, 7, 6, 5, 4, 3, 2}, {TCPOptWScale, 3, 5}, {TCPOptNOP}, {TCPOptEnd},
		{TCPOptSACK, 10, 1, 1, 1, 1, 2, 2, 2, 2}, {TCPOptMSS, 3, 1}, {TCPOptFastOpen, 6, 1, 2, 3, 4}, {253, 4, 0, 0}, {TCPOptMSS},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	words, faults, syns := 0, 0, 0
	for i := range 20000 {
		var b []byte
		for range rng.IntN(6) {
			b = append(b, pieces[rng.IntN(len(pieces))]...)
		}
		switch i % 8 {
		case 0: // as PutSYN has it
			b = make([]byte, TCPSYNLen)
			PutSYN(b, uint16(rng.Uint32()), uint8(rng.Uint32()), rng.Uint32(), rng.Uint32())
		case 1: // as Linux has it
			b = append(append(append([]byte(nil), pieces[0]...), pieces[4]...), pieces[1+rng.IntN(2)]...)
		}
		if rng.IntN(4) == 0 && len(b) > 0 {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		b = b[:min(len(b), 40)]
		var got TCPOptions
		fault := ParseTCPOptions(b, &got)
		want := TCPOptions{WScale: -1}
		require.Equal(t, want.parse(b, 0), fault, "%x", b)
		if fault == OK {
			require.Equal(t, want, got, "%x", b)
		} else {
			faults++
		}
		o := TCPOptions{WScale: -1}
		if o.parseWords(b) > 0 {
			words++
		}
		if o.parseSYN(b) {
			syns++
		}
	}
	require.Greater(t, words, 5000, "the short way was taken")
	require.Greater(t, syns, 3500, "the shortest way was taken")
	require.Positive(t, faults)
}

func TestPutSYNIsTheOptionsInARow(t *testing.T) {
	var want, got [TCPSYNLen]byte
	n := PutMSS(want[:], 1460)
	n += PutWScale(want[n:], 7)
	n += PutSACKPermitted(want[n:])
	n += PutTimestamp(want[n:], 0xf1020304, 0xffeeddcc)
	require.Equal(t, TCPSYNLen, n)
	sum := PutSYN(got[:], 1460, 7, 0xf1020304, 0xffeeddcc)
	require.Equal(t, want, got)
	require.Equal(t, Checksum(want[:], 0), fold(sum))
}
