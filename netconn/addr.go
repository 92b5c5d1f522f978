package netconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/shardstack/shardstack/header"
)

// checkNetwork accepts the networks of package net that the stack has: want is
// "tcp" or "udp".
func checkNetwork(network, want string) error {
	switch network {
	case want, want + "4", want + "6":
		return nil
	}
	return net.UnknownNetworkError(network)
}

// familyOf is the part of a network's name that says which addresses it has: "4",
// "6", or "" for both.
func familyOf(network string) string {
	if last := network[len(network)-1:]; last == "4" || last == "6" {
		return last
	}
	return ""
}

// resolve turns "host:port" into addresses, at least one, to be tried in that order.
// An empty host is the unspecified address: the zero netip.Addr for both families,
// as "[::]" is with a network of both. Names of services are those of the system.
func (n *Net) resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	family := familyOf(network)
	var ips []netip.Addr
	if host == "" {
		ips = []netip.Addr{anyOf(family)}
	} else if ips, err = n.resolveHost(ctx, family, host); err != nil {
		return nil, err
	}
	out := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		out[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	return out, nil
}

// anyOf is the unspecified address of a family.
func anyOf(family string) netip.Addr {
	switch family {
	case "4":
		return netip.IPv4Unspecified()
	case "6":
		return netip.IPv6Unspecified()
	}
	return netip.Addr{}
}

func (n *Net) resolveHost(ctx context.Context, family, host string) ([]netip.Addr, error) {
	var list []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		list = []netip.Addr{ip}
	} else {
		if n.cfg.Resolver == nil {
			return nil, &net.DNSError{Err: ErrNoHost.Error(), Name: host, UnwrapErr: ErrNoHost}
		}
		if list, err = n.cfg.Resolver.LookupNetIP(ctx, "ip"+family, host); err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	var out []netip.Addr
	for _, ip := range list {
		switch ip = ip.Unmap(); {
		case ip == netip.IPv6Unspecified(): // "[::]:80" is how many programs write "any"
			out = append(out, anyOf(family))
		case family == "" || ip.Is4() == (family == "4"):
			out = append(out, ip)
		}
	}
	if len(out) == 0 {
		return nil, &net.AddrError{Err: "no suitable address", Addr: host}
	}
	return out, nil
}

// withPort is the address of what a shard has bound, as the others are to bind it:
// what was asked for, with the port that was chosen.
func withPort(asked, bound netip.AddrPort) netip.AddrPort {
	if !asked.Addr().IsValid() {
		return netip.AddrPortFrom(netip.Addr{}, bound.Port())
	}
	return bound
}

// shown is how an address of a socket is shown: 0.0.0.0 also stands for the
// addresses of both families.
func shown(a netip.AddrPort) netip.AddrPort {
	if !a.Addr().IsValid() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
	}
	return a
}

// scoped is an address as it travels in a datagram's control block, netip the way
// back. Zones are numbers there (header.Addr.WithZone).
func (n *Net) scoped(a netip.Addr) header.Addr {
	x := header.FromNetip(a.Unmap())
	if a.Zone() == "" || !x.NeedsZone() {
		return x
	}
	for i, name := range n.zones {
		if name == a.Zone() {
			return x.WithZone(uint8(i + 1))
		}
	}
	z, _ := strconv.ParseUint(a.Zone(), 10, 8)
	return x.WithZone(uint8(z))
}

func (n *Net) netip(a header.Addr) netip.Addr {
	z := int(a.Zone())
	switch {
	case z == 0:
		return a.Netip()
	case z <= len(n.zones):
		return a.Unzoned().Netip().WithZone(n.zones[z-1])
	}
	return a.Unzoned().Netip().WithZone(strconv.Itoa(z))
}

// laneFor picks the shard for a connection from local to remote: any, unless
// the local port is given, as then the packets of the peer decide. after is the
// one that was tried before, nil at first: each is tried once, whoever else
// takes turns.
func (n *Net) laneFor(local, remote netip.AddrPort, after *lane) (*lane, error) {
	if local.Port() == 0 || len(n.lanes) == 1 {
		if after != nil {
			return n.lanes[(slices.Index(n.lanes, after)+1)%len(n.lanes)], nil
		}
		return n.next(), nil
	}
	if !local.Addr().IsValid() || local.Addr().IsUnspecified() {
		return nil, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return n.lanes[n.group.Home(local, remote)], nil
}

// isNoPort reports whether a shard has no local port left for a remote end;
// another one may have.
func isNoPort(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }
