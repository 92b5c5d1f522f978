package header

import (
	"bytes"
	"net/netip"
	"testing"
)

// The fuzz targets hold what the gates promise: no panic on any bytes, lengths
// within the bytes, accessors that work, and that what they read can be encoded
// to the same bytes.

// seedTCP is an IPv4 packet with a TCP segment and timestamps.
func seedTCP(f *testing.F) []byte {
	f.Helper()
	b := make([]byte, 20+32+7)
	(*IPv4)(b).Encode(&IPv4Fields{
		TTL: 64, Protocol: ProtoTCP, DontFragment: true, TotalLen: uint16(len(b)),
		Src: addr(f, "192.0.2.1"), Dst: addr(f, "192.0.2.2"),
	})
	(*TCP)(b[20:]).Encode(&TCPFields{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, HdrLen: 32, Flags: TCPAck, Window: 5})
	PutTimestamp(b[40:], 6, 7)
	return b
}

func FuzzParseEthernet(f *testing.F) {
	frame := make([]byte, 18)
	(*Ethernet)(frame).Encode(Broadcast, macA, EtherTypeVLAN)
	(*VLAN)(frame[14:]).Encode(42, EtherTypeIPv4)
	f.Add(frame)
	f.Add(frame[:14])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, fault := ParseEthernet(b)
		if (fault == OK) != (len(b) >= EthernetLen) {
			t.Fatal(fault, len(b))
		}
		if fault != OK {
			return
		}
		var again [EthernetLen + VLANLen]byte
		(*Ethernet)(again[:]).Encode(h.Dst(), h.Src(), h.Type())
		n := EthernetLen
		if v, fault := ParseVLAN(b[n:]); fault == OK {
			(*VLAN)(again[n:]).Encode(v.TCI(), v.Type())
			n += VLANLen
		}
		if !bytes.Equal(b[:n], again[:n]) {
			t.Fatalf("%x encoded as %x", b[:n], again[:n])
		}
	})
}

func FuzzParseARP(f *testing.F) {
	b := make([]byte, ARPLen)
	(*ARP)(b).Encode(&ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: addr(f, "192.0.2.1"), TargetIP: addr(f, "192.0.2.2")})
	f.Add(b)
	f.Add(b[:27])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, fault := ParseARP(b)
		if fault != OK {
			return
		}
		var again ARP
		again.Encode(&ARPFields{h.Op(), h.SenderMAC(), h.SenderIP(), h.TargetMAC(), h.TargetIP()})
		if again != *h {
			t.Fatalf("%x encoded as %x", *h, again)
		}
	})
}

func FuzzParseIPv4(f *testing.F) {
	b := seedTCP(f)
	f.Add(b)
	f.Add(b[:20])
	f.Add(append([]byte{0x46, 0, 0, 24, 0, 0, 0x20, 1, 1, 1, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}, IPv4OptRouterAlert, 4, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, hdrLen, total, fault := ParseIPv4(b)
		if fault != OK {
			if h != nil || hdrLen != 0 || total != 0 {
				t.Fatal("results with a fault")
			}
			return
		}
		if hdrLen < IPv4Len || hdrLen > total || total > len(b) {
			t.Fatal(hdrLen, total, len(b))
		}
		hdr := b[:hdrLen]
		if h.VerifyChecksum(hdr) != (plainSum(hdr, 0) == 0xffff) {
			t.Fatal("checksum")
		}
		again := bytes.Clone(hdr)
		(*IPv4)(again).Encode(&IPv4Fields{
			TOS: h.TOS(), TTL: h.TTL(), Protocol: h.Protocol(), DontFragment: h.DontFragment(),
			MoreFragments: h.MoreFragments(), HdrLen: uint8(hdrLen), TotalLen: h.TotalLen(), ID: h.ID(),
			FragOffset: h.FragOffset(), Src: h.Src(), Dst: h.Dst(),
		})
		again[6] |= hdr[6] & 0x80 // the reserved bit
		copy(again[10:12], hdr[10:12])
		if !bytes.Equal(again, hdr) {
			t.Fatalf("%x encoded as %x", hdr, again)
		}
		var o IPv4Options
		if fault = ParseIPv4Options(b[IPv4Len:hdrLen], &o); fault != OK && (int(o.Bad) < IPv4Len || int(o.Bad) >= hdrLen) {
			t.Fatal("pointer outside of the options", o.Bad)
		}
	})
}

func FuzzParseIPv4Options(f *testing.F) {
	f.Add([]byte{1, 7, 7, 4, 0, 0, 0, 0, 0})
	f.Add([]byte{68, 8, 5, 0, 0, 0, 0, 0, 148, 4, 0, 0})
	f.Add([]byte{131, 7, 8, 10, 0, 0, 1, 137, 3, 4, 0, 0})
	f.Add([]byte{1, 1, 0, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), IPv4MaxLen-IPv4Len)]
		var o IPv4Options
		fault := ParseIPv4Options(b, &o)
		for _, off := range []uint8{o.SourceRoute, o.RecordRoute, o.Timestamp} {
			if off != 0 && (off < IPv4Len || int(off) >= IPv4Len+len(b)) {
				t.Fatal(off)
			}
		}
		if (fault == OK) != (o.Bad == 0) || int(o.Bad) >= IPv4Len+max(len(b), 1) {
			t.Fatal(fault, o.Bad)
		}
	})
}

func FuzzParseIPv6(f *testing.F) {
	b := make([]byte, IPv6Len+8)
	(*IPv6)(b).Encode(&IPv6Fields{
		HopLimit: 64, NextHeader: ProtoUDP, PayloadLen: 8, Src: addr(f, "2001:db8::1"), Dst: addr(f, "2001:db8::2"),
	})
	f.Add(b)
	f.Add(b[:40])
	b = bytes.Clone(b)
	(*IPv6)(b).SetNextHeader(ProtoFragment)
	copy(b[IPv6Len:], fragment(ProtoUDP, 8, true))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, fault := ParseIPv6(b)
		if fault != OK {
			return
		}
		if n < 0 || n > len(b)-IPv6Len {
			t.Fatal(n)
		}
		var again IPv6
		again.Encode(&IPv6Fields{
			h.TrafficClass(), h.HopLimit(), h.NextHeader(), h.PayloadLen(), h.FlowLabel(), h.Src(), h.Dst(),
		})
		if again != *h {
			t.Fatalf("%x encoded as %x", *h, again)
		}
		checkExtensions(t, h.NextHeader(), b[IPv6Len:IPv6Len+n])
	})
}

// checkExtensions walks b and checks that all offsets are where they may be.
func checkExtensions(t *testing.T, next Protocol, b []byte) {
	t.Helper()
	var x IPv6Extensions
	fault := ParseIPv6Extensions(next, b, &x)
	if x.Off < 0 || x.Off > len(b) || x.NextOff != nextOffFixed && (x.NextOff < 0 || x.NextOff >= x.Off) {
		t.Fatal(x)
	}
	if x.Off == 0 && fault == OK && x.Protocol != next {
		t.Fatal(x)
	}
	if x.NextOff >= 0 && Protocol(b[x.NextOff]) != x.Protocol {
		t.Fatal("NextOff names another protocol", x)
	}
	if x.Fragment >= 0 && x.Fragment+IPv6FragmentLen > len(b) || x.Routing >= 0 && x.Routing+8 > len(b) || x.Options >= len(b) {
		t.Fatal(x)
	}
	if x.Options >= 0 && IPv6OptAction(b[x.Options]>>6) != x.Action {
		t.Fatal(x)
	}
}

func FuzzParseIPv6Extensions(f *testing.F) {
	f.Add(uint8(ProtoHopByHop), chain(ext(ProtoDestOpts, 5, 2, 0, 0), ext(ProtoTCP, 0xde, 0)))
	f.Add(uint8(ProtoRouting), chain(ext(ProtoFragment, make([]byte, 22)...), fragment(ProtoUDP, 0, false)))
	f.Add(uint8(ProtoFragment), fragment(ProtoUDP, 1480, true))
	f.Add(uint8(ProtoAH), []byte{6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(ProtoDestOpts), ext(ProtoTCP, 1, 200))
	f.Fuzz(func(t *testing.T, next uint8, b []byte) { checkExtensions(t, Protocol(next), b) })
}

func FuzzParseICMP(f *testing.F) {
	b := make([]byte, 16)
	(*ICMPv4)(b).Encode(ICMPv4Echo, 0, 0x00010002)
	f.Add(b)
	f.Add(b[:7])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, fault := ParseICMPv4(b)
		h6, fault6 := ParseICMPv6(b)
		if (fault == OK) != (len(b) >= ICMPv4Len) || (fault6 == OK) != (len(b) >= ICMPv6Len) {
			t.Fatal(fault, fault6)
		}
		if fault != OK {
			return
		}
		var again ICMPv4
		again.Encode(h.Type(), h.Code(), h.Rest())
		again.SetChecksum(h.Checksum())
		var again6 ICMPv6
		again6.Encode(h6.Type(), h6.Code(), h6.Rest())
		again6.SetChecksum(h6.Checksum())
		if again != *h || again6 != *h6 {
			t.Fatalf("%x encoded as %x and %x", *h, again, again6)
		}
	})
}

func FuzzParseND(f *testing.F) {
	for _, m := range ndMessages(f) {
		f.Add(m.ip[8:24], m.ip[24:40], m.b)
	}
	ra := make([]byte, NDRouterAdvertLen+NDMTULen+NDPrefixLen)
	(*NDRouterAdvert)(ra).Encode(&NDRouterAdvertFields{HopLimit: 64})
	PutNDMTU(ra[NDRouterAdvertLen:], 1280)
	PutNDPrefix(ra[NDRouterAdvertLen+NDMTULen:], &NDPrefix{Prefix: netip.MustParsePrefix("2001:db8::/32")})
	router := ndIP(f, "fe80::1", "ff02::1")
	f.Add(router[8:24], router[24:40], ra)
	f.Fuzz(func(t *testing.T, src, dst, b []byte) {
		ip := new(IPv6)
		copy(ip[8:24], src)
		copy(ip[24:40], dst)
		ip.SetHopLimit(NDHopLimit)
		walk := func(o NDOptions, size int, f Fault) {
			if f != OK {
				return
			}
			for opt, ok := o.Next(); ok; opt, ok = o.Next() {
				size += len(opt)
				opt.LinkAddr()
				opt.MTU()
				if p, ok := opt.Prefix(); ok && !p.Prefix.IsValid() {
					t.Fatal(p)
				}
			}
			if size != len(b) {
				t.Fatal("options end at", size)
			}
		}
		s, o, fault := ParseNDSolicit(ip, b)
		if walk(o, NDSolicitLen, fault); fault == OK && s.Target().IsMulticast() {
			t.Fatal(s.Target())
		}
		a, o, fault := ParseNDAdvert(ip, b)
		if walk(o, NDAdvertLen, fault); fault == OK && a.Target().IsMulticast() {
			t.Fatal(a.Target())
		}
		_, o, fault = ParseNDRouterSolicit(ip, b)
		walk(o, NDRouterSolicitLen, fault)
		_, o, fault = ParseNDRouterAdvert(ip, b)
		walk(o, NDRouterAdvertLen, fault)
		_, o, fault = ParseNDRedirect(ip, b)
		walk(o, NDRedirectLen, fault)
	})
}

func FuzzParseUDP(f *testing.F) {
	b := make([]byte, 12)
	(*UDP)(b).Encode(&UDPFields{SrcPort: 53, DstPort: 1024, Length: 12})
	f.Add(b)
	f.Add(b[:8])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, fault := ParseUDP(b)
		if fault != OK {
			return
		}
		if n < UDPLen || n > len(b) {
			t.Fatal(n)
		}
		var again UDP
		again.Encode(&UDPFields{h.SrcPort(), h.DstPort(), uint16(n), h.Checksum()})
		if again != *h {
			t.Fatalf("%x encoded as %x", *h, again)
		}
	})
}

func FuzzParseTCP(f *testing.F) {
	b := seedTCP(f)[20:]
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, fault := ParseTCP(b)
		if fault != OK {
			return
		}
		if n < TCPLen || n > len(b) {
			t.Fatal(n)
		}
		var again TCP
		again.Encode(&TCPFields{
			h.SrcPort(), h.DstPort(), h.Seq(), h.Ack(), uint8(n), h.Flags(), h.Window(), h.Checksum(), h.Urgent(),
		})
		again[12] |= h[12] & 0xf // reserved bits
		if again != *h {
			t.Fatalf("%x encoded as %x", *h, again)
		}
		checkTCPOptions(t, b[TCPLen:n])
	})
}

// checkTCPOptions parses b, encodes what it says, and parses that.
func checkTCPOptions(t *testing.T, b []byte) {
	t.Helper()
	var o, again TCPOptions
	fault := ParseTCPOptions(b, &o)
	if val, ecr, ok := ParseTimestampFast(b); ok && (fault != OK || !o.HasTS || val != o.TSVal || ecr != o.TSEcr) {
		t.Fatal("the fast path disagrees", o)
	}
	if fault != OK {
		return
	}
	if o.WScale < -1 || o.WScale > TCPMaxWScale || int(o.NSACK) > len(o.SACK) {
		t.Fatal(o)
	}
	cookie := b[o.FastOpenOff : o.FastOpenOff+o.FastOpenLen]
	var r [128]byte
	n := PutMSS(r[:], o.MSS)
	if o.WScale >= 0 {
		n += PutWScale(r[n:], uint8(o.WScale))
	}
	if o.SACKPermitted {
		n += PutSACKPermitted(r[n:])
	}
	if o.HasTS {
		n += PutTimestamp(r[n:], o.TSVal, o.TSEcr)
	}
	n += PutSACK(r[n:], o.SACK[:o.NSACK])
	if o.HasFastOpen {
		off := n + 2
		if o.FastOpenExp {
			off += 2
		}
		n += PutFastOpen(r[n:], cookie, o.FastOpenExp)
		o.FastOpenOff = uint8(off)
	}
	want := o
	for i := int(o.NSACK); i < len(want.SACK); i++ {
		want.SACK[i] = SACKBlock{} // leftovers of an earlier, longer option
	}
	if fault = ParseTCPOptions(r[:n], &again); fault != OK || again != want {
		t.Fatalf("%v: %+v encoded as %+v", fault, want, again)
	}
}

func FuzzParseTCPOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7})
	f.Add([]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4})
	f.Add([]byte{34, 6, 1, 2, 3, 4, 1, 1})
	f.Add([]byte{254, 8, 0xf9, 0x89, 1, 2, 3, 4})
	f.Add([]byte{3, 3, 15, 0, 7})
	f.Add([]byte{19, 0})
	f.Fuzz(func(t *testing.T, b []byte) { checkTCPOptions(t, b[:min(len(b), TCPMaxOptions)]) })
}

func FuzzChecksum(f *testing.F) {
	f.Add(randomBytes(1460, 1), uint16(0))
	f.Add(bytes.Repeat([]byte{0xff}, 129), uint16(0xffff))
	f.Add([]byte{1}, uint16(0xff00))
	f.Fuzz(func(t *testing.T, b []byte, start uint16) {
		want := plainSum(b, start)
		for i := range sums {
			if s := &sums[i]; len(b) >= s.min && len(b) <= s.max && s.sum(b, start) != want {
				t.Fatalf("%s: %#04x, want %#04x", s.name, s.sum(b, start), want)
			}
		}
		for i := range copies {
			if c := &copies[i]; len(b) >= c.min {
				dst := make([]byte, len(b))
				if got := c.sum(dst, b, start); got != want || !bytes.Equal(dst, b) {
					t.Fatalf("%s: %#04x, want %#04x", c.name, got, want)
				}
			}
		}
	})
}
