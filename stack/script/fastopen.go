package script

import "net/netip"

// fastOpenAttempt is sendto(…, MSG_FASTOPEN, …): connect and write in one
// (RFC 7413).
func fastOpenAttempt(r *runner, c *Call, s *sock, to netip.AddrPort, data payload) (attempt, error) {
	return nil, unsupported(c.Line, "Fast Open by %s", c.Name)
}
