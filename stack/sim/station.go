package sim

import (
	"github.com/shardstack/shardstack/pbuf"
)

// Station is a node without a stack: the test's own end of links, to send frames
// that no stack would, and to look at what is answered.
type Station struct {
	net  *Network
	name string
	ends []*Half
	fn   func(now int64, f *pbuf.Pbuf)
}

// AddStation adds a station; fn is given the frames that arrive, which stay the
// station's. A nil fn ignores them.
func (n *Network) AddStation(name string, fn func(now int64, f *pbuf.Pbuf)) *Station {
	return &Station{net: n, name: name, fn: fn}
}

// Name is the station's name.
func (s *Station) Name() string { return s.name }

// attach implements Node.
func (s *Station) attach(d *Half) error {
	s.ends = append(s.ends, d)
	return nil
}

// receive implements Node.
func (s *Station) receive(_ *Half, ps []*pbuf.Pbuf) {
	for _, f := range ps {
		if s.fn != nil {
			s.fn(s.net.now, f)
		}
	}
	pbuf.FreeBatch(ps)
}

// Send sends a copy of a frame out of the station's end number i, in the order
// of Connect. ErrMem of package pbuf: the network's pool has no buffer.
func (s *Station) Send(i int, frame []byte) error {
	if i < 0 || i >= len(s.ends) {
		return bad("station %s has no end %d", s.name, i)
	}
	f := s.net.pool.Alloc(pbuf.LayerLink, len(frame), pbuf.KindPool)
	if f == nil {
		return pbuf.ErrMem
	}
	_ = f.Take(frame) // it is as long
	s.ends[i].send(f)
	return nil
}
