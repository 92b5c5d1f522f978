package netconn_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// pipe makes connected pairs over a bed for nettest.
func pipe(b *bed) nettest.MakePipe {
	return func() (c1, c2 net.Conn, stop func(), err error) {
		ln, err := b.server.Listen("tcp", "10.0.0.2:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer ln.Close()
		if c1, err = b.client.Dial("tcp", ln.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			c1.Close()
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	}
}

func TestNettest(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		nettest.TestConn(t, pipe(newBed(t, base)))
	})
}
