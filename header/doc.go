// Package header gives typed views of protocol headers, the addresses and
// sequence numbers in them, and Internet checksums.
//
// A view is a pointer to a fixed array, laid over the packet's bytes:
//
//	ip, hdrLen, totalLen, fault := header.ParseIPv4(b)
//	if fault != header.OK {
//		drops[fault]++
//		return
//	}
//	tcp, tcpLen, fault := header.ParseTCP(b[hdrLen:totalLen])
//
// Bytes from the wire are checked once, by the header's Parse function, its
// gate. A gate returns a Fault, a small number that is the index of a drop
// counter. Past the gate no accessor can panic, and none checks bounds: all
// indices into the array are constants. To write a header that is not there
// yet, convert a slice with room for it, (*header.TCP)(b), which panics if b is
// too short, and call Encode.
//
// A view aliases the packet and lives as long as its buffer. Nothing in this
// package allocates, keeps a reference, or has state: all functions may be
// called by any thread that owns the bytes.
//
// Sums are 16-bit ones-complement sums of big-endian words (RFC 1071), running
// and not complemented: 0 to start with, 0xffff once a right checksum is
// included; the checksum field is ^sum. A TCP segment is right if
//
//	header.Checksum(segment, header.PseudoHeader(src, dst, header.ProtoTCP, n)) == 0xffff
//
// On amd64 they are computed with AVX-512 or AVX2 where CPU and system have it,
// on arm64 with NEON; elsewhere, and with the build tag purego, in Go.
//
// Numbers are in host order on this side of the accessors, lengths and offsets
// in bytes, except where a field's own name says otherwise (IHL, DataOffset).
package header
