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
// Numbers are in host order on this side of the accessors, lengths and offsets
// in bytes, except where a field's own name says otherwise (IHL, DataOffset).
package header
