package tap

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/rss"
)

// The program that the kernel runs for each frame that it sends to the device:
// it hashes the frame as rss.Hasher.HashFrame does and returns the queue that the
// RETA gives. Toeplitz is a table of 256 words for each byte of input: what the
// windows of the key that the byte's bits choose add up to.
//
// R6 is the frame, R9 the offset of the IP header, R7 that of the ports and then
// the address of the tables, R8 whether there are ports. On the stack lie what
// was read of the headers and the bytes to hash.
const (
	stackHdr   = -64 // 10 bytes
	stackInput = -48 // 36 bytes

	tableRow   = 256 * 4 // bytes of a table
	tableRows  = 36      // of the longest input: addresses and ports of IPv6
	rowsOffset = 16      // tables that an instruction's offset reaches

	maxTags       = 2 // as rss looks past
	maxExtensions = 4 // extension headers that are looked past, then only addresses count
)

// steeringProgram is the program over two maps of one value each: tables and
// RETA.
func steeringProgram(tables, reta int) asm.Instructions {
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.Mov.Imm(asm.R8, 0),
		asm.Mov.Imm(asm.R9, 12),
	}
	for range maxTags + 1 {
		p = append(p, readFrame(asm.R9, 0, stackHdr, 2, "none")...)
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, stackHdr, asm.Half),
			asm.HostTo(asm.BE, asm.R1, asm.Half),
			asm.Add.Imm(asm.R9, 2),
			asm.JEq.Imm(asm.R1, int32(header.EtherTypeIPv4), "ipv4"),
			asm.JEq.Imm(asm.R1, int32(header.EtherTypeIPv6), "ipv6"),
			asm.Add.Imm(asm.R9, 2),
			asm.JEq.Imm(asm.R1, int32(header.EtherTypeVLAN), tagLabel(len(p))),
			asm.JNE.Imm(asm.R1, int32(header.EtherTypeQinQ), "none"),
			asm.Mov.Reg(asm.R1, asm.R1).WithSymbol(tagLabel(len(p))),
		)
	}
	p = append(p, asm.Ja.Label("none"))
	p = append(p, ipv4Program(tables)...)
	p = append(p, ipv6Program(tables)...)
	return append(p,
		asm.Mov.Imm(asm.R0, 0).WithSymbol("none"),
		asm.Mov.Reg(asm.R1, asm.R0).WithSymbol("queue"),
		asm.And.Imm(asm.R1, rss.MaxRETA-1),
		asm.LSh.Imm(asm.R1, 2),
		asm.LoadMapValue(asm.R2, reta, 0),
		asm.Add.Reg(asm.R2, asm.R1),
		asm.LoadMem(asm.R0, asm.R2, 0, asm.Word),
		asm.Return(),
	)
}

// tagLabel is a label of its own for each tag.
func tagLabel(at int) string { return "tag" + string(rune('a'+at%26)) + string(rune('a'+at/26)) }

// readFrame copies n bytes of the frame, from off behind the offset in base, to the
// stack; what is not there goes to a label.
func readFrame(base asm.Register, off, to int32, n int32, fail string) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, base),
		asm.Add.Imm(asm.R2, off),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, to),
		asm.Mov.Imm(asm.R4, n),
		asm.Mov.Imm(asm.R5, 0), // from the Ethernet header on
		asm.FnSkbLoadBytesRelative.Call(),
		asm.JNE.Imm(asm.R0, 0, fail),
	}
}

func ipv4Program(tables int) asm.Instructions {
	p := asm.Instructions{asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv4")}
	p = append(p, readFrame(asm.R9, 0, stackHdr, 10, "none")...)
	p = append(p,
		asm.LoadMem(asm.R1, asm.RFP, stackHdr, asm.Byte),
		asm.Mov.Reg(asm.R7, asm.R1),
		asm.And.Imm(asm.R7, 15),
		asm.LSh.Imm(asm.R7, 2),
		asm.RSh.Imm(asm.R1, 4),
		asm.JNE.Imm(asm.R1, 4, "none"),
		asm.JLT.Imm(asm.R7, header.IPv4Len, "none"),
		asm.Add.Reg(asm.R7, asm.R9),
		// Fragments have no ports (RFC 791 3.2): more follow, or it is not the first.
		asm.LoadMem(asm.R1, asm.RFP, stackHdr+6, asm.Half),
		asm.HostTo(asm.BE, asm.R1, asm.Half),
		asm.And.Imm(asm.R1, 0x3fff),
		asm.JNE.Imm(asm.R1, 0, "ipv4-addrs"),
		asm.LoadMem(asm.R1, asm.RFP, stackHdr+9, asm.Byte),
		asm.JEq.Imm(asm.R1, int32(header.ProtoTCP), "ipv4-ports"),
		asm.JNE.Imm(asm.R1, int32(header.ProtoUDP), "ipv4-addrs"),
		asm.Mov.Imm(asm.R8, 1).WithSymbol("ipv4-ports"),
		asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv4-addrs"),
	)
	p = append(p, readFrame(asm.R9, 12, stackInput, 8, "none")...)
	p = append(p, asm.JEq.Imm(asm.R8, 0, "ipv4-hash"))
	p = append(p, readFrame(asm.R7, 0, stackInput+8, 4, "ipv4-hash")...)
	p = append(p, hashProgram(tables, 12)...)
	p = append(p, asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv4-hash"))
	return append(p, hashProgram(tables, 8)...)
}

func ipv6Program(tables int) asm.Instructions {
	p := asm.Instructions{asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv6")}
	p = append(p, readFrame(asm.R9, 6, stackHdr, 1, "none")...)
	p = append(p, asm.Mov.Reg(asm.R7, asm.R9), asm.Add.Imm(asm.R7, header.IPv6Len))
	for i := range maxExtensions + 1 {
		next := "ipv6-ext" + string(rune('a'+i))
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, stackHdr, asm.Byte),
			asm.JEq.Imm(asm.R1, int32(header.ProtoTCP), "ipv6-ports"),
			asm.JEq.Imm(asm.R1, int32(header.ProtoUDP), "ipv6-ports"),
			asm.JEq.Imm(asm.R1, int32(header.ProtoHopByHop), next),
			asm.JEq.Imm(asm.R1, int32(header.ProtoRouting), next),
			asm.JNE.Imm(asm.R1, int32(header.ProtoDestOpts), "ipv6-addrs"),
			asm.Mov.Reg(asm.R1, asm.R1).WithSymbol(next),
		)
		p = append(p, readFrame(asm.R7, 0, stackHdr, 2, "ipv6-addrs")...)
		p = append(p, // RFC 8200 4.3: units of 8 bytes, the first not counted
			asm.LoadMem(asm.R1, asm.RFP, stackHdr+1, asm.Byte),
			asm.Add.Imm(asm.R1, 1),
			asm.LSh.Imm(asm.R1, 3),
			asm.Add.Reg(asm.R7, asm.R1),
		)
	}
	p = append(p,
		asm.Ja.Label("ipv6-addrs"),
		asm.Mov.Imm(asm.R8, 1).WithSymbol("ipv6-ports"),
		asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv6-addrs"),
	)
	p = append(p, readFrame(asm.R9, 8, stackInput, 32, "none")...)
	p = append(p, asm.JEq.Imm(asm.R8, 0, "ipv6-hash"))
	p = append(p, readFrame(asm.R7, 0, stackInput+32, 4, "ipv6-hash")...)
	p = append(p, hashProgram(tables, 36)...)
	p = append(p, asm.Mov.Reg(asm.R9, asm.R9).WithSymbol("ipv6-hash"))
	return append(p, hashProgram(tables, 32)...)
}

// hashProgram hashes n bytes of input, in R0.
func hashProgram(tables, n int) asm.Instructions {
	p := asm.Instructions{asm.LoadMapValue(asm.R7, tables, 0), asm.Mov.Imm(asm.R0, 0)}
	for i := range n {
		if i > 0 && i%rowsOffset == 0 {
			p = append(p, asm.Add.Imm(asm.R7, rowsOffset*tableRow))
		}
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, int16(stackInput+i), asm.Byte),
			asm.LSh.Imm(asm.R1, 2),
			asm.Mov.Reg(asm.R2, asm.R7),
			asm.Add.Reg(asm.R2, asm.R1),
			asm.LoadMem(asm.R3, asm.R2, int16(i%rowsOffset*tableRow), asm.Word),
			asm.Xor.Reg(asm.R0, asm.R3),
		)
	}
	return append(p, asm.Ja.Label("queue"))
}

// hashTables are the tables of a key, in the machine's byte order. The hash is
// linear, so that the hash of an input with one byte set is that byte's part.
func hashTables(key rss.Key) []byte {
	h := rss.NewHasher(key)
	b := make([]byte, 0, tableRows*tableRow)
	for row := range tableRows {
		for v := range 256 {
			var in [tableRows]byte
			in[row] = byte(v)
			hash := h.Hash6(header.AddrFrom16([16]byte(in[:16])), header.AddrFrom16([16]byte(in[16:32])),
				binary.BigEndian.Uint16(in[32:]), binary.BigEndian.Uint16(in[34:]))
			b = binary.NativeEndian.AppendUint32(b, hash)
		}
	}
	return b
}

// retaWords are the entries of a table, repeated to the largest size.
func retaWords(t *rss.RETA) []byte {
	b := make([]byte, 0, rss.MaxRETA*4)
	for i := range uint32(rss.MaxRETA) {
		b = binary.NativeEndian.AppendUint32(b, uint32(t.Queue(i)))
	}
	return b
}
