// Package stack is the single-threaded TCP/IP stack of one shard: Ethernet,
// ARP, neighbour discovery, IPv4, IPv6, ICMP, UDP and TCP, with lwIP's raw callback API on top.
//
// # Threads and time
//
// A [Stack] and everything reached from it belong to one thread. The package
// starts no goroutines and has no channels, locks, atomics, clocks or system
// calls; the caller brings packets, time and a way out:
//
//	s.Input(nif, now, burst)  packets in: Ethernet → IP → TCP/UDP → callbacks
//	s.Poll(now)               timers: RTO, delayed ACK, ARP, reassembly …
//	s.Flush(now)              packets out, a burst per interface
//	s.NextTimeout()           when Poll wants to run again
//
// now is a monotonic clock in nanoseconds. It may be simulated.
//
// # The path of a packet
//
//	Input → ethernetInput → ip4Input → tcpInput → header prediction or the
//	        (ethernet.go)   (ip4.go)   (tcp_in.go) state's function (tcp_state.go)
//	                                              → recv callback
//	TCP.Write → send queue → TCP.Output → tcpXmit → Netif.enqueue → Flush
//	(tcp_write.go)           (tcp_out.go)                          (netif.go)
//
// # Buffers
//
// Packets are [pbuf.Pbuf] chains. Each function says who owns its argument
// afterwards. A packet that goes nowhere is freed and counted under a
// [DropReason].
package stack
