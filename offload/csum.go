package offload

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// txCsumFlags are the orders that FinishTx carries out.
const txCsumFlags = pbuf.TxIPCsum | pbuf.TxTCPCsum | pbuf.TxUDPCsum

// The three orders and the three offloads stand in the same sequence, so that
// what is left to do is a shift and a mask.
var (
	_ [pbuf.TxTCPCsum/pbuf.TxIPCsum - pbuf.Flags(TxTCPCsum/TxIPCsum)]byte
	_ [pbuf.TxUDPCsum/pbuf.TxIPCsum - pbuf.Flags(TxUDPCsum/TxIPCsum)]byte
	_ [pbuf.Flags(TxTCPCsum/TxIPCsum) - pbuf.TxTCPCsum/pbuf.TxIPCsum]byte
	_ [pbuf.Flags(TxUDPCsum/TxIPCsum) - pbuf.TxUDPCsum/pbuf.TxIPCsum]byte
)

// Where the checksum is in its header, in bytes (RFC 9293 3.1, RFC 768).
const (
	tcpCsumOff = 16
	udpCsumOff = 6
)

// FinishTx computes each checksum that p.Flags asks for and have lacks, and
// clears the flag; what have includes is left alone. The caller keeps p.
//
// p is a complete frame without padding, a buffer or a chain; L2Len and L3Len
// say where the headers are, and the first buffer holds them up to the checksum
// (FinishTx panics if it doesn't). For TCP and UDP the checksum field holds the
// sum of the pseudo-header, not complemented.
func FinishTx(p *pbuf.Pbuf, have Caps) {
	left := p.Flags & txCsumFlags &^ (pbuf.Flags(have&TxCsum) * pbuf.TxIPCsum)
	if left == 0 {
		return
	}
	p.Flags &^= left
	b := p.Payload()
	l3, l4 := int(p.L2Len), int(p.L2Len)+int(p.L3Len)
	if left&pbuf.TxIPCsum != 0 {
		(*header.IPv4)(b[l3:]).FillChecksum(b[l3:l4])
	}
	switch {
	case left&pbuf.TxTCPCsum != 0:
		sum := L4Sum(p, l4, 0)
		putSum(b, l4+tcpCsumOff, ^sum)
	case left&pbuf.TxUDPCsum != 0:
		// A sum that comes out as 0 is sent as all ones: 0 says that there is
		// no checksum (RFC 768).
		sum := L4Sum(p, l4, 0)
		putSum(b, l4+udpCsumOff, header.UDPChecksum(sum))
	}
}

func putSum(b []byte, off int, sum uint16) {
	f := b[off : off+2 : off+2]
	f[0], f[1] = byte(sum>>8), byte(sum)
}

// L4Sum returns the ones-complement sum of init and the bytes of the chain from
// off to the end: the sum of TCP or UDP header and data, if off is where the
// header starts and the chain carries no padding of the link. init is the sum of
// the pseudo-header; over a right packet the result is 0xffff. An off beyond
// the end gives init.
func L4Sum(p *pbuf.Pbuf, off int, init uint16) uint16 {
	if b := p.Payload(); uint(off) <= uint(len(b)) && p.TotLen() == len(b) {
		return header.Checksum(b[off:], init)
	}
	return chainSum(p, off, init)
}

// chainSum is L4Sum over several buffers. The sum of one that starts at an odd
// offset counts with its bytes swapped (RFC 1071 2 (B)).
func chainSum(p *pbuf.Pbuf, off int, init uint16) uint16 {
	sum, odd := init, false
	for p, off = p.Skip(off); p != nil; p = p.Next() {
		b := p.Payload()[off:]
		off = 0
		part := header.Checksum(b, 0)
		if odd {
			part = header.ChecksumOdd(part)
		}
		sum = header.CombineChecksum(sum, part)
		odd = odd != (len(b)&1 != 0)
	}
	return sum
}
