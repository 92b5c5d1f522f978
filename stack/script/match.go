package script

import (
	"bytes"
	"slices"
	"strings"
)

// differ compares the packet that the script expects with the one that was
// seen, both in the script's numbers, and names the fields that differ.
func (r *runner) differ(want, have *Packet, c *conn) []string {
	var d []string
	check := func(name string, same bool) {
		if !same {
			d = append(d, name)
		}
	}
	if want.Proto != have.Proto {
		return []string{"protocol"}
	}
	switch want.ecn {
	case ecnBits:
		check("ECN bits", have.TOS&3 == want.TOS)
	case ecnECT01:
		check("ECN bits", have.TOS&3 == 1 || have.TOS&3 == 2)
	case ecnTOS:
		check("TOS", have.TOS == want.TOS)
	}
	if want.TTL != 0 {
		check("TTL", have.TTL == want.TTL)
	}
	if want.Flow >= 0 {
		check("flow label", r.sameFlow(c, want.Flow, have.Flow))
	}
	switch want.Proto {
	case protoTCP:
		d = append(d, r.differTCP(want, have)...)
		if want.Len != have.Len {
			d = append(d, "length")
		}
	case protoUDP:
		check("length", want.Len == have.Len)
	default:
		return append(d, r.differICMP(want, have)...)
	}
	if want.Len == have.Len && c != nil && have.Len > 0 {
		check("payload", c.sentBytes(have))
	}
	return d
}

func (r *runner) differTCP(want, have *Packet) []string {
	var d []string
	check := func(name string, same bool) {
		if !same {
			d = append(d, name)
		}
	}
	mask := ^uint16(0)
	if want.ACE >= 0 {
		ace := int(have.Flags / flagECE & 1)
		ace |= int(have.Flags/flagCWR&1)<<1 | int(have.Flags/flagAE&1)<<2
		check("ACE", ace == want.ACE)
		mask &^= flagECE | flagCWR | flagAE
	}
	if !r.opt.Strict && !r.cfg.strictPSH { // a matter of the sender's (RFC 9293 3.9.1.2)
		mask &^= flagPSH
	}
	check("flags", want.Flags&mask == have.Flags&mask)
	check("seq", want.Seq == have.Seq)
	if want.Flags&have.Flags&flagACK != 0 {
		check("ack", want.Ack == have.Ack)
	}
	if want.Win >= 0 {
		check("win", want.Win == have.Win)
	}
	check("urgent pointer", want.Urg == have.Urg)
	if !want.AnyOpts {
		d = append(d, r.differOptions(want.Opts, have.Opts)...)
	}
	return d
}

// differOptions compares options. Padding and order say nothing (RFC 9293 3.1)
// and are left out, unless --strict_options asks for them.
func (r *runner) differOptions(want, have []TCPOption) []string {
	if !r.cfg.strictOptions {
		want, have = plain(want), plain(have)
	}
	if len(want) != len(have) {
		return []string{"options"}
	}
	var d []string
	for i := range want {
		w, h := &want[i], &have[i]
		if w.Kind != h.Kind {
			return []string{"options"}
		}
		same := true
		switch w.Kind {
		case optTS:
			if r.cfg.tsTick > 0 {
				diff := int64(int32(w.Num - h.Num))
				same = max(diff, -diff)*r.cfg.tsTick <= r.tolerance(r.scriptStart)
			}
			if r.opt.Strict && w.Ecr != h.Ecr {
				same = false
			}
		case optSACK:
			same = slices.Equal(w.Blocks, h.Blocks)
		default:
			same = w.Num == h.Num && bytes.Equal(w.Data, h.Data)
		}
		if !same {
			d = append(d, "option "+strings.Fields(w.String())[0])
		}
	}
	return d
}

func (r *runner) differICMP(want, have *Packet) []string {
	typ, code, err := icmpNumber(want, r.cfg.v6)
	if err != nil || typ != have.Type || code != have.Code {
		return []string{"ICMP type or code"}
	}
	var d []string
	if want.MTU >= 0 && want.MTU != have.MTU {
		d = append(d, "MTU")
	}
	if want.ID >= 0 && want.ID != have.ID {
		d = append(d, "identifier")
	}
	if w, h := want.Echo, have.Echo; w != nil {
		if h == nil || w.Proto != 0 && *w != *h {
			d = append(d, "quoted packet")
		}
	}
	return d
}

// sameFlow keeps the script's flow labels apart as packetdrill does: the same
// name is the same label, another name another.
func (r *runner) sameFlow(c *conn, want, have int) bool {
	if want == 0 || c == nil {
		return true
	}
	if c.flows == nil {
		c.flows = map[int]int{}
	}
	if live, ok := c.flows[want]; ok {
		return live == have
	}
	for _, live := range c.flows {
		if live == have {
			return false
		}
	}
	c.flows[want] = have
	return have != 0
}
