package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRFC768_Layout(t *testing.T) {
	b := make([]byte, UDPLen)
	h := (*UDP)(b)
	h.Encode(&UDPFields{SrcPort: 0x102, DstPort: 0x304, Length: 8, Checksum: 0x506})
	require.Equal(t, []byte{1, 2, 3, 4, 0, 8, 5, 6}, b)
	require.Equal(t, uint16(0x102), h.SrcPort())
	require.Equal(t, uint16(0x304), h.DstPort())
	require.Equal(t, uint16(8), h.Length())
	require.Equal(t, uint16(0x506), h.Checksum())
}

func TestRFC768_LengthIsAtLeast8AndFits(t *testing.T) {
	b := make([]byte, 64)
	h := (*UDP)(b)
	for length := range 80 {
		h.SetLength(uint16(length))
		got, n, f := ParseUDP(b)
		if length < 8 || length > 64 {
			require.Equal(t, FaultUDPLength, f)
			require.Nil(t, got)
		} else {
			require.Equal(t, OK, f)
			require.Equal(t, length, n)
		}
	}
	for n := range UDPLen {
		_, _, f := ParseUDP(b[:n])
		require.Equal(t, FaultUDPShort, f)
	}
}

func TestRFC768_ZeroChecksumIsSentAsOnes(t *testing.T) {
	require.Equal(t, uint16(0xffff), UDPChecksum(0xffff))
	require.Equal(t, uint16(0x0001), UDPChecksum(0xfffe))
	require.Equal(t, uint16(0xffff), UDPChecksum(0))
}

func TestUDPSetters(t *testing.T) {
	b := make([]byte, UDPLen)
	h := (*UDP)(b)
	h.SetSrcPort(0x102)
	h.SetDstPort(0x304)
	h.SetLength(0x506)
	h.SetChecksum(0x708)
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8}, b)
}
