// Package shardstack is the root of a user-space TCP/IP stack for programs
// that make or take traffic at the highest rates. It runs one single-threaded
// stack per CPU core; no two of them share a packet, a connection or a lock.
//
// The root package holds no code, only the tests that keep the rules of the
// tree. Each package is a room on one floor, and imports only floors below:
//
//	0  header    protocol headers as views, checksums, sequence numbers
//	0  ring      lock-free SPSC rings, doorbells, snapshots
//	0  affinity  core masks and lists, pinning, NUMA
//	0  pbuf      off-heap packet buffers and pools
//	1  rss       Toeplitz hash, RETA, source ports that land at home
//	2  offload   capabilities; what a port lacks, done in software
//	3  port      the driver interface, and one folder a driver
//	4  stack     the single-threaded stack: Ethernet to TCP, raw API
//	5  shard     poll loop, clock, mailboxes, steering, group of shards
//	6  netconn   net.Conn, net.Listener, net.PacketConn over messages
//	7  bench, cmd, examples
//
// A program that wants every cycle starts a group of shards and runs as
// callbacks on each shard's thread (packages shard and stack). A program that
// wants the net interfaces uses netconn from any goroutine.
//
// ARCHITECTURE.md describes how the rooms work together, docs/lwip-map.md
// which file does the work of which lwIP source file.
package shardstack
