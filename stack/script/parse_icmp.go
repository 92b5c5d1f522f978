package script

import "math"

// icmpKind is a name that a script uses for an ICMP type or code, with its
// numbers in both families; -1: that family has none.
type icmpKind struct {
	name   string
	v4, v6 int
}

// The types (RFC 792, RFC 4443). Codes are those of the type.
var icmpTypes = []icmpKind{
	{"unreachable", 3, 1},
	{"packet_too_big", -1, 2},
	{"time_exceeded", 11, 3},
	{"parameter_problem", 12, 4},
	{"parameterprob", 12, 4},
	{"echo_request", 8, 128},
	{"echo_reply", 0, 129},
	{"source_quench", 4, -1},
	{"redirect", 5, -1},
}

var icmpCodes = map[string][]icmpKind{
	"unreachable": {
		{"net_unreachable", 0, -1}, {"host_unreachable", 1, -1}, {"protocol_unreachable", 2, -1},
		{"port_unreachable", 3, 4}, {"frag_needed", 4, -1}, {"source_route_failed", 5, -1},
		{"net_unknown", 6, -1}, {"host_unknown", 7, -1}, {"source_host_isolated", 8, -1},
		{"net_prohibited", 9, -1}, {"host_prohibited", 10, -1}, {"net_unreachable_for_tos", 11, -1},
		{"host_unreachable_for_tos", 12, -1}, {"packet_filtered", 13, -1}, {"precedence_violation", 14, -1},
		{"precedence_cutoff", 15, -1},
		{"no_route", -1, 0}, {"admin_prohibited", 13, 1}, {"beyond_scope", -1, 2},
		{"address_unreachable", -1, 3}, {"address_not_member", -1, 2},
	},
	"time_exceeded":     {{"ttl_exceeded", 0, 0}, {"reassembly_timeout", 1, 1}, {"exceed_hoplimit", 0, 0}, {"exceed_fragtime", 1, 1}},
	"parameter_problem": {{"bad_field", 0, 0}, {"unknown_next_header", -1, 1}, {"unknown_option", -1, 2}},
}

// icmp reads "icmp TYPE [CODE] [mtu N] [id N] [QUOTED]". Numbers are those of
// IPv4 until the script runs over IPv6; see icmpNumbers.
func (p *parser) icmp(k *Packet) error {
	k.Proto = protoICMP
	t := p.peek()
	if t.kind != tokWord {
		return p.unexpected("want an ICMP type")
	}
	p.next()
	code := ""
	if c := p.peek(); c.kind == tokWord && c.text != "mtu" && c.text != "id" && icmpCodes[t.text] != nil {
		code = c.text
		p.next()
	}
	if err := icmpNumbers(k, t.text, code); err != nil {
		return err
	}
	if p.accept("mtu") {
		v, err := p.uint("mtu", math.MaxUint32)
		if err != nil {
			return err
		}
		k.MTU = int(v)
	}
	if p.accept("id") {
		v, err := p.uint("id", math.MaxUint16)
		if err != nil {
			return err
		}
		k.ID = int(v)
	}
	if !p.accept("[") {
		return nil
	}
	k.Echo = &Echoed{}
	var err error
	switch {
	case p.accept("udp"):
		k.Echo.Proto = protoUDP
		var n int64
		n, err = p.parenthesized("quoted payload")
		k.Echo.Len = int(n)
	case p.accept("raw"):
		var n int64
		n, err = p.parenthesized("quoted bytes")
		k.Echo.Len = int(n)
	default:
		k.Echo.Proto = protoTCP
		k.Echo.Seq, k.Echo.Len, err = p.seqRange()
	}
	if err != nil {
		return err
	}
	return p.expect("]")
}

// icmpNumbers looks the names up. Type and Code hold the place in the tables
// until icmpNumber turns them into those of a family.
func icmpNumbers(k *Packet, typ, code string) error {
	ti := -1
	for i, t := range icmpTypes {
		if t.name == typ {
			ti = i
		}
	}
	if ti < 0 {
		return syntax(k.Line, "unknown ICMP type %q", typ)
	}
	k.Type, k.Code = uint8(ti), 0xff
	if code == "" {
		return nil
	}
	for i, c := range icmpCodes[typ] {
		if c.name == code {
			k.Code = uint8(i)
			return nil
		}
	}
	return syntax(k.Line, "unknown code %q of ICMP %s", code, typ)
}

// icmpNumber gives type and code of a parsed packet in a family.
func icmpNumber(k *Packet, v6 bool) (typ, code uint8, err error) {
	if int(k.Type) >= len(icmpTypes) {
		return 0, 0, unsupported(k.Line, "this type of ICMP")
	}
	t := icmpTypes[k.Type]
	var c icmpKind
	if k.Code != 0xff {
		codes := icmpCodes[t.name]
		if int(k.Code) >= len(codes) {
			return 0, 0, unsupported(k.Line, "this code of ICMP %s", t.name)
		}
		c = codes[k.Code]
	}
	tn, cn := t.v4, c.v4
	if v6 {
		tn, cn = t.v6, c.v6
	}
	if tn < 0 || cn < 0 {
		return 0, 0, unsupported(k.Line, "ICMP %s %s is not of this IP version", t.name, c.name)
	}
	return uint8(tn), uint8(cn), nil
}

// icmpName is the inverse of icmpNumber, for messages.
func icmpName(typ, code uint8, v6 bool) string {
	pick := func(k icmpKind) int {
		if v6 {
			return k.v6
		}
		return k.v4
	}
	for _, t := range icmpTypes {
		if pick(t) != int(typ) {
			continue
		}
		for _, c := range icmpCodes[t.name] {
			if pick(c) == int(code) {
				return t.name + " " + c.name
			}
		}
		return t.name
	}
	return "type " + itoa(int(typ)) + " code " + itoa(int(code))
}
