package offload_test

import "github.com/gopacket/gopacket/layers"

// Names of gopacket's that tests of this package use often.
type (
	layersTCP = layers.TCP
	tcpPort   = layers.TCPPort
	ipv4Flag  = layers.IPv4Flag
)
