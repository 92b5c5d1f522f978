package work

import (
	"io"
	"net"
)

// netWrite is what a writer of NetBulk gives a connection at a time.
const netWrite = 64 << 10

// OverNet does NetRR and NetBulk over any net.Conn: ln's side answers or
// discards, dial's side asks or sends, a goroutine an end. It closes ln.
func OverNet(s *Spec, ln net.Listener, dial func() (net.Conn, error)) (float64, error) {
	defer ln.Close()
	var done Counter
	serve, drive := answer, ask
	if s.Work == NetBulk {
		serve, drive = take, give
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c, s, &done)
		}
	}()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range s.Conns {
		c, err := dial()
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		go drive(c, s, &done)
	}
	if s.Work == NetBulk {
		return s.Gbits(done.Load)
	}
	return s.Rate(done.Load)
}

func answer(c net.Conn, s *Spec, _ *Counter) {
	defer c.Close()
	for b := make([]byte, s.Size); ; {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func ask(c net.Conn, s *Spec, done *Counter) {
	for b := make([]byte, s.Size); ; done.Add(1) {
		if _, err := c.Write(b); err != nil {
			return
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
	}
}

func take(c net.Conn, _ *Spec, done *Counter) {
	defer c.Close()
	for b := make([]byte, netWrite); ; {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		done.Add(uint64(n))
	}
}

func give(c net.Conn, _ *Spec, _ *Counter) {
	for b := make([]byte, netWrite); ; {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}
