package netconn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/netconn"
	"github.com/shardstack/shardstack/shard"
)

// newBed6 is a bed whose ends have 2001:db8::1 and 2001:db8::2, too, used at once.
func newBed6(t *testing.T, base setup) *bed {
	t.Helper()
	base.stack.IPv6.DADTransmits = -1
	b := newBed(t, base)
	for i, a := range []string{"2001:db8::1/64", "2001:db8::2/64"} {
		require.NoError(t, b.groups[i].AddAddr(0, netip.MustParsePrefix(a)))
	}
	return b
}

// linkLocal is the link-local address of a group's interface.
func linkLocal(t *testing.T, b *bed, i int) (a netip.Addr) {
	t.Helper()
	require.NoError(t, b.groups[i].Shards()[0].Call(func(s *shard.Shard) error {
		a = header.LinkLocalOf(s.Stack().Netifs()[0].MAC().InterfaceID()).Netip().WithZone(s.Stack().Netifs()[0].Name())
		return nil
	}))
	return a
}

func TestIP6_TCPAndDualStackListeners(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed6(t, base)
		for _, c := range []struct {
			network, at string
			reached     []string // by
			refused     []string
		}{
			{"tcp", ":7", []string{"10.0.0.2:7", "[2001:db8::2]:7"}, nil},
			{"tcp", "[::]:7", []string{"10.0.0.2:7", "[2001:db8::2]:7"}, nil},
			{"tcp", "0.0.0.0:7", []string{"10.0.0.2:7"}, []string{"[2001:db8::2]:7"}},
			{"tcp4", ":7", []string{"10.0.0.2:7"}, []string{"[2001:db8::2]:7"}},
			{"tcp6", ":7", []string{"[2001:db8::2]:7"}, []string{"10.0.0.2:7"}},
			{"tcp6", "[2001:db8::2]:7", []string{"[2001:db8::2]:7"}, []string{"10.0.0.2:7"}},
		} {
			ln, err := b.server.Listen(c.network, c.at)
			require.NoError(t, err, "%s %s", c.network, c.at)
			go echo6(ln)
			for _, to := range c.reached {
				conn, err := b.client.Dial("tcp", to)
				require.NoError(t, err, "%s %s, %s", c.network, c.at, to)
				require.Equal(t, to, conn.RemoteAddr().String())
				_, err = conn.Write([]byte("hello"))
				require.NoError(t, err)
				buf := make([]byte, 5)
				_, err = io.ReadFull(conn, buf)
				require.NoError(t, err)
				require.Equal(t, "hello", string(buf))
				require.NoError(t, conn.Close())
			}
			for _, to := range c.refused {
				_, err := b.client.Dial("tcp", to)
				require.Error(t, err, "%s %s, %s", c.network, c.at, to)
			}
			require.NoError(t, ln.Close())
		}
	})
}

func TestIP6_LinkLocalWithZone(t *testing.T) {
	b := newBed6(t, setup{shards: 2})
	ln, err := b.server.Listen("tcp6", ":7")
	require.NoError(t, err)
	defer ln.Close()
	go echo6(ln)
	to := linkLocal(t, b, 1).WithZone("")
	from := linkLocal(t, b, 0)
	c, err := b.client.Dial("tcp6", netip.AddrPortFrom(to.WithZone(from.Zone()), 7).String())
	require.NoError(t, err)
	require.Equal(t, from, c.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
	require.NoError(t, c.Close())

	pc, err := b.server.ListenPacket("udp6", ":9")
	require.NoError(t, err)
	defer pc.Close()
	u, err := b.client.ListenPacket("udp", ":0")
	require.NoError(t, err)
	defer u.Close()
	_, err = u.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.WithZone(from.Zone()), 9)))
	require.NoError(t, err)
	buf := make([]byte, 9)
	n, who, err := pc.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, from.WithZone(linkLocal(t, b, 1).Zone()), who.(*net.UDPAddr).AddrPort().Addr())
	_, err = pc.WriteTo([]byte("yz"), who)
	require.NoError(t, err)
	n, who, err = u.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, to.WithZone(from.Zone()), who.(*net.UDPAddr).AddrPort().Addr())
}

func TestIP6_UDPBothFamilies(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		b := newBed6(t, base)
		pc, err := b.server.ListenPacket("udp", ":9")
		require.NoError(t, err)
		defer pc.Close()
		buf := make([]byte, 70_000)
		for _, to := range []string{"10.0.0.2:9", "[2001:db8::2]:9"} {
			c, err := b.client.Dial("udp", to)
			require.NoError(t, err)
			for _, size := range []int{0, 5, 1452, 9000} {
				_, err = c.Write(make([]byte, size))
				require.NoError(t, err)
				n, from, err := pc.ReadFrom(buf)
				require.NoError(t, err)
				require.Equal(t, size, n)
				require.Equal(t, c.LocalAddr().String(), from.String())
				_, err = pc.WriteTo(buf[:n], from)
				require.NoError(t, err)
				n, err = c.Read(buf)
				require.NoError(t, err)
				require.Equal(t, size, n)
			}
			require.NoError(t, c.Close())
		}
		_, err = pc.WriteTo(make([]byte, 65528), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:9")))
		require.Error(t, err, "too long")
	})
}

// names is a DNS server that gives every name the same addresses, asked over a pipe
// as over TCP (RFC 1035 4.2.2).
type names []netip.Addr

func (n names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		go n.serve(b)
		return a, nil
	}}
}

func (n names) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12 + bytes.IndexByte(q[12:], 0) + 5 // header, name, type and class
		r := append([]byte{0, 0}, q[:end]...)
		binary.BigEndian.PutUint16(r[4:], 0x8580) // an answer, authoritative
		binary.BigEndian.PutUint32(r[10:], 0)     // no more sections
		typ, count := binary.BigEndian.Uint16(q[end-4:]), uint16(0)
		for _, a := range n {
			if a.Is4() != (typ == 1) || typ != 1 && typ != 28 {
				continue
			}
			count++
			r = append(r, 0xc0, 12, byte(typ>>8), byte(typ), 0, 1, 0, 0, 0, 9, 0, byte(len(a.AsSlice())))
			r = append(r, a.AsSlice()...)
		}
		binary.BigEndian.PutUint16(r[8:], count)
		binary.BigEndian.PutUint16(r, uint16(len(r)-2))
		if _, err := c.Write(r); err != nil {
			return
		}
	}
}

func TestIP6_NamesWithSeveralAddresses(t *testing.T) {
	n := names{netip.MustParseAddr("2001:db8:1::9"), netip.MustParseAddr("2001:db8::2"), serverIP}
	b := newBed6(t, setup{shards: 2, net: netconn.Config{Resolver: n.resolver()}})
	ln, err := b.server.Listen("tcp", ":7")
	require.NoError(t, err)
	defer ln.Close()
	go echo6(ln)
	for _, network := range []string{"tcp", "tcp6", "tcp4"} {
		c, err := b.client.Dial(network, "host.example.:7")
		require.NoError(t, err, network)
		to := c.RemoteAddr().String()
		require.Contains(t, []string{"[2001:db8::2]:7", "10.0.0.2:7"}, to, "one that can be reached")
		if network != "tcp" {
			require.Equal(t, network == "tcp6", to[0] == '[')
		}
		require.NoError(t, c.Close())
	}
}

// echo6 echoes what connections of a listener send.
func echo6(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
	}
}
