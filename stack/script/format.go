package script

import (
	"fmt"
	"strings"
)

var ecnNames = [4]string{"noecn", "ect1", "ect0", "ce"}

// format writes a packet as a script would. at is its time in ns since the
// start; v6 chooses the names of ICMP types. numbers says that Type and Code of
// ICMP are those of the wire.
func (k *Packet) format(at int64, v6, numbers bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.6f ", float64(at)/1e9)
	if k.Inbound {
		b.WriteString("< ")
	} else {
		b.WriteString("> ")
	}
	switch k.ecn {
	case ecnBits:
		fmt.Fprintf(&b, "[%s] ", ecnNames[k.TOS&3])
	case ecnECT01:
		b.WriteString("[ect01] ")
	case ecnTOS:
		if k.TOS != 0 || !numbers {
			fmt.Fprintf(&b, "[tos %#x] ", k.TOS)
		}
	}
	if k.SrcPort != 0 && k.DstPort != 0 && k.Proto != protoICMP {
		fmt.Fprintf(&b, "%d > %d ", k.SrcPort, k.DstPort)
	}
	switch k.Proto {
	case protoTCP:
		k.formatTCP(&b)
	case protoUDP:
		fmt.Fprintf(&b, "udp (%d)", k.Len)
	default:
		k.formatICMP(&b, v6, numbers)
	}
	return b.String()
}

func (k *Packet) formatTCP(b *strings.Builder) {
	flags := ""
	for i, c := range flagLetters {
		if k.Flags&(1<<i) != 0 && c != '.' {
			flags += string(c)
		}
	}
	if k.Flags&flagACK != 0 {
		flags += "."
	}
	if k.ACE >= 0 {
		flags += itoa(k.ACE)
	}
	if flags == "" {
		flags = "-"
	}
	fmt.Fprintf(b, "%s %d:%d(%d)", flags, k.Seq, k.Seq+uint32(k.Len), k.Len)
	if k.Flags&flagACK != 0 {
		fmt.Fprintf(b, " ack %d", k.Ack)
	}
	if k.Win >= 0 {
		fmt.Fprintf(b, " win %d", k.Win)
	}
	if k.Urg != 0 {
		fmt.Fprintf(b, " urg %d", k.Urg)
	}
	switch {
	case k.AnyOpts:
		b.WriteString(" <...>")
	case len(k.Opts) > 0:
		b.WriteString(" " + formatOptions(k.Opts))
	}
}

func (k *Packet) formatICMP(b *strings.Builder, v6, numbers bool) {
	typ, code := k.Type, k.Code
	if !numbers {
		typ, code, _ = icmpNumber(k, v6)
	}
	b.WriteString("icmp " + icmpName(typ, code, v6))
	if k.MTU > 0 {
		fmt.Fprintf(b, " mtu %d", k.MTU)
	}
	if k.ID >= 0 {
		fmt.Fprintf(b, " id %d", k.ID)
	}
	if e := k.Echo; e != nil {
		switch e.Proto {
		case protoTCP:
			fmt.Fprintf(b, " [%d:%d(%d)]", e.Seq, e.Seq+uint32(e.Len), e.Len)
		case protoUDP:
			fmt.Fprintf(b, " [udp (%d)]", e.Len)
		default:
			fmt.Fprintf(b, " [raw (%d)]", e.Len)
		}
	}
}
