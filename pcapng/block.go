// Package pcapng writes the blocks of pcapng capture files with nanoseconds
// (draft-ietf-opsawg-pcapng), for the ports that port/pcap wraps and the links
// of stack/sim. It does no input or output.
package pcapng

import (
	"encoding/binary"

	"github.com/shardstack/shardstack/pbuf"
)

// Blocks of pcapng (draft-ietf-opsawg-pcapng), little-endian: type, length,
// body, options, length again. Bodies and options are padded to 4 bytes.
const (
	blockSection   = 0x0a0d0d0a // 4.1
	blockInterface = 1          // 4.2
	blockPacket    = 6          // 4.3, enhanced packet block

	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1

	optEnd         = 0
	optUserAppl    = 4 // of a section: program that wrote it
	optIfName      = 2
	optIfTsResol   = 9
	optPacketFlags = 2
	optPacketQueue = 6

	nanoseconds = 9 // if_tsresol: 10^-9 s

	// packetFixed is an enhanced packet block without the packet: 28 bytes in
	// front, two options of 8, the end of options, the length.
	packetFixed = 28 + 2*8 + 4 + 4
)

// Directions of a packet: epb_flags, bits 0 and 1.
const (
	Inbound  = 1
	Outbound = 2
)

var zeros [4]byte

// appendOption appends an option, padded.
func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, zeros[:-len(value)&3]...)
}

// appendOption32 appends an option with a number of 32 bits.
func appendOption32(b []byte, code uint16, value uint32) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, 4)
	return binary.LittleEndian.AppendUint32(b, value)
}

// block puts a body with options into a block.
func block(typ uint32, body []byte) []byte {
	le := binary.LittleEndian
	size := uint32(len(body) + 12)
	b := le.AppendUint32(nil, typ)
	b = le.AppendUint32(b, size)
	b = append(b, body...)
	return le.AppendUint32(b, size)
}

// SectionHeader is the block that a file begins with.
func SectionHeader() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, ^uint64(0)) // section length: not given
	b = appendOption(b, optUserAppl, []byte("shardstack"))
	return block(blockSection, appendOption(b, optEnd, nil))
}

// InterfaceBlock describes an Ethernet interface of which snap bytes a frame are
// kept. The first one of a section has number 0.
func InterfaceBlock(name string, snap int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, linkEthernet)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(snap))
	b = appendOption(b, optIfName, []byte(name))
	b = appendOption(b, optIfTsResol, []byte{nanoseconds})
	return block(blockInterface, appendOption(b, optEnd, nil))
}

// appendPayload appends the first n bytes of a chain, which has them.
func appendPayload(b []byte, p *pbuf.Pbuf, n int) []byte {
	for n > 0 {
		part := p.Payload()
		part = part[:min(n, len(part))]
		b = append(b, part...)
		n -= len(part)
		p = p.Next()
	}
	return b
}

// Packet is a frame to be recorded.
type Packet struct {
	Frame     *pbuf.Pbuf // stays the caller's
	Time      int64      // ns since 1970-01-01 UTC
	Interface uint32     // number of the interface block
	Snap      int        // at most so many bytes are kept
	Direction uint32     // Inbound or Outbound
	Queue     uint32
}

// AppendPacket appends an enhanced packet block.
func AppendPacket(buf []byte, p *Packet) []byte {
	le := binary.LittleEndian
	orig := p.Frame.TotLen()
	kept := min(orig, p.Snap)
	padded := (kept + 3) &^ 3
	size := uint32(packetFixed + padded)

	buf = le.AppendUint32(buf, blockPacket)
	buf = le.AppendUint32(buf, size)
	buf = le.AppendUint32(buf, p.Interface)
	buf = le.AppendUint32(buf, uint32(uint64(p.Time)>>32))
	buf = le.AppendUint32(buf, uint32(p.Time))
	buf = le.AppendUint32(buf, uint32(kept))
	buf = le.AppendUint32(buf, uint32(orig))
	buf = appendPayload(buf, p.Frame, kept)
	buf = append(buf, zeros[:padded-kept]...)
	buf = appendOption32(buf, optPacketFlags, p.Direction)
	buf = appendOption32(buf, optPacketQueue, p.Queue)
	buf = le.AppendUint32(buf, optEnd)
	return le.AppendUint32(buf, size)
}
