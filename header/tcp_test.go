package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRFC9293_3_1_Layout(t *testing.T) {
	b := make([]byte, TCPLen)
	h := (*TCP)(b)
	want := TCPFields{
		SrcPort: 0x102, DstPort: 0x304, Seq: 0x05060708, Ack: 0x090a0b0c, HdrLen: 32,
		Flags: TCPSyn | TCPAck | TCPCwr, Window: 0xd0e, Checksum: 0xf10, Urgent: 0x1112,
	}
	b[12] = 0xff
	h.Encode(&want)
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x80, 0x92, 13, 14, 15, 16, 17, 18}, b)
	require.Equal(t, want, TCPFields{
		h.SrcPort(), h.DstPort(), h.Seq(), h.Ack(), uint8(h.HdrLen()), h.Flags(), h.Window(), h.Checksum(), h.Urgent(),
	})
	require.Equal(t, uint32(0x01020304), h.Ports())
	require.Equal(t, 8, h.DataOffset())
	h.Encode(&TCPFields{})
	require.Equal(t, 20, h.HdrLen(), "0 means no options")
}

func TestTCPSetters(t *testing.T) {
	b := make([]byte, TCPLen)
	h := (*TCP)(b)
	h.SetSrcPort(0x102)
	h.SetDstPort(0x304)
	h.SetSeq(0x05060708)
	h.SetAck(0x090a0b0c)
	b[12] = 0xff
	h.SetHdrLen(60)
	h.SetFlags(TCPFin | TCPEce)
	h.SetWindow(0xd0e)
	h.SetChecksum(0xf10)
	h.SetUrgent(0x1112)
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xf0, 0x41, 13, 14, 15, 16, 17, 18}, b)
}

func TestRFC9293_3_1_DataOffsetFits(t *testing.T) {
	for off := range 16 {
		for n := range 70 {
			b := make([]byte, n)
			if n > 12 {
				b[12] = byte(off<<4 | 0xf)
			}
			h, hdrLen, f := ParseTCP(b)
			switch {
			case n < TCPLen:
				require.Equal(t, FaultTCPShort, f)
			case off < 5 || off*4 > n:
				require.Equal(t, FaultTCPOffset, f)
				require.Nil(t, h)
			default:
				require.Equal(t, OK, f)
				require.Equal(t, 4*off, hdrLen)
			}
		}
	}
}

func TestTCPFlagsString(t *testing.T) {
	require.Equal(t, ".", TCPFlags(0).String())
	require.Equal(t, "SA", (TCPSyn | TCPAck).String())
	require.Equal(t, "FSRPAUEC", TCPFlags(0xff).String())
}
