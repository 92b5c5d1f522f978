package offload

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// VerifyIPv4 tells whether the header checksum of an arrived IPv4 packet is
// right (RFC 1122 3.2.1.2): as the port says in p.Flags, else by summing hdr,
// the header with its options as header.ParseIPv4 found it.
func VerifyIPv4(p *pbuf.Pbuf, h *header.IPv4, hdr []byte) bool {
	switch p.Flags & (pbuf.RxIPCsumGood | pbuf.RxIPCsumBad) {
	case pbuf.RxIPCsumGood:
		return true
	case 0:
		return h.VerifyChecksum(hdr)
	}
	return false
}

// VerifyL4 tells whether the checksum of an arrived TCP segment or UDP datagram
// is right (RFC 9293 3.1 MUST-3, RFC 1122 4.1.3.4): as the port says in p.Flags,
// else by summing. The header starts at off, the chain ends with the data (the
// padding of short frames is cut off), and pseudo is the sum of the
// pseudo-header. A UDP checksum of 0 over IPv4 is none: ask only if it isn't.
func VerifyL4(p *pbuf.Pbuf, off int, pseudo uint16) bool {
	switch p.Flags & (pbuf.RxL4CsumGood | pbuf.RxL4CsumBad) {
	case pbuf.RxL4CsumGood:
		return true
	case 0:
		return L4Sum(p, off, pseudo) == 0xffff
	}
	return false
}
