package netconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

// checkNetwork accepts the networks of package net that the stack has: want is
// "tcp" or "udp".
func checkNetwork(network, want string) error {
	switch network {
	case want, want + "4":
		return nil
	case want + "6":
		return os.NewSyscallError("socket", syscall.EAFNOSUPPORT)
	}
	return net.UnknownNetworkError(network)
}

// resolve turns "host:port" into an address. An empty host is the unspecified
// address; names of services are those of the system.
func (n *Net) resolve(ctx context.Context, network, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip := netip.IPv4Unspecified()
	if host != "" {
		if ip, err = n.resolveHost(ctx, host); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

func (n *Net) resolveHost(ctx context.Context, host string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if n.cfg.Resolver == nil {
			return netip.Addr{}, &net.DNSError{Err: ErrNoHost.Error(), Name: host, UnwrapErr: ErrNoHost}
		}
		list, err := n.cfg.Resolver.LookupNetIP(ctx, "ip4", host)
		if err != nil {
			return netip.Addr{}, err
		}
		if len(list) == 0 {
			return netip.Addr{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		ip = list[0]
	}
	if ip = ip.Unmap(); !ip.Is4() {
		if ip.IsUnspecified() { // "[::]:80" is how many programs write "any"
			return netip.IPv4Unspecified(), nil
		}
		return netip.Addr{}, &net.AddrError{Err: "no suitable address", Addr: host}
	}
	return ip, nil
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
