package stack

// fastOpenDest is what is remembered of a server's Fast Open (RFC 7413 4.1.3).
type fastOpenDest struct{}
