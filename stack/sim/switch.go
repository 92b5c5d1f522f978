package sim

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// maxMACs is how many addresses a switch learns.
const maxMACs = 8192

// Switch is an Ethernet switch that learns where addresses are (IEEE 802.1D
// 7.8). It takes no time and has no queues but those of its links.
type Switch struct {
	net   *Network
	name  string
	ports []*Half
	table map[header.MAC]*Half
}

// AddSwitch adds a switch without links.
func (n *Network) AddSwitch(name string) *Switch {
	return &Switch{net: n, name: name, table: map[header.MAC]*Half{}}
}

// Name is the switch's name.
func (s *Switch) Name() string { return s.name }

// attach implements Node.
func (s *Switch) attach(d *Half) error {
	d.port = len(s.ports)
	s.ports = append(s.ports, d)
	return nil
}

// receive implements Node.
func (s *Switch) receive(d *Half, ps []*pbuf.Pbuf) {
	for _, f := range ps {
		b := f.Payload()
		if len(b) < header.EthernetLen {
			f.Free()
			continue
		}
		src, dst := header.MAC(b[6:12]), header.MAC(b[0:6])
		if at, ok := s.table[src]; !src.IsMulticast() && at != d && (ok || len(s.table) < maxMACs) {
			s.table[src] = d
		}
		switch to, ok := s.table[dst]; {
		case !ok: // unknown, or a group
			s.flood(d, f)
		case to == d:
			f.Free()
		default:
			to.send(f)
		}
	}
}

// flood sends a frame out of all ports but one.
func (s *Switch) flood(from *Half, f *pbuf.Pbuf) {
	for _, to := range s.ports {
		if to == from {
			continue
		}
		if c := f.Clone(pbuf.LayerLink, pbuf.KindPool); c != nil {
			to.send(c)
		} else {
			to.noBuf++
		}
	}
	f.Free()
}
