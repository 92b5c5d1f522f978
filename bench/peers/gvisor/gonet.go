package gvisor

import (
	"net"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// overNet does the works over net.Conn.
func overNet(s *work.Spec, p *pair) (float64, error) {
	ln, err := gonet.ListenTCP(p.server, serverPort, header.IPv4ProtocolNumber)
	if err != nil {
		return 0, err
	}
	return work.OverNet(s, ln, func() (net.Conn, error) {
		return gonet.DialTCP(p.client, serverPort, header.IPv4ProtocolNumber)
	})
}
