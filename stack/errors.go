package stack

import "errors"

// The errors of the raw API, one per lwIP err_t. They are compared with
// errors.Is.
var (
	// ErrMem: no buffer, or the send buffer is too full (ERR_MEM).
	ErrMem = errors.New("stack: out of memory")
	// ErrBuf: the buffer does not fit the call (ERR_BUF).
	ErrBuf = errors.New("stack: buffer error")
	// ErrTimeout: the peer did not answer within the retry limits (ERR_TIMEOUT).
	ErrTimeout = errors.New("stack: connection timed out")
	// ErrRoute: no route, or no usable source address (ERR_RTE).
	ErrRoute = errors.New("stack: no route to host")
	// ErrVal: an argument is out of range (ERR_VAL).
	ErrVal = errors.New("stack: invalid argument")
	// ErrUse: the address or port is taken (ERR_USE).
	ErrUse = errors.New("stack: address in use")
	// ErrIsConn: already connected or connecting (ERR_ISCONN).
	ErrIsConn = errors.New("stack: already connected")
	// ErrConn: not connected, or the connection is closing (ERR_CONN).
	ErrConn = errors.New("stack: not connected")
	// ErrIf: the interface refused (ERR_IF).
	ErrIf = errors.New("stack: interface error")
	// ErrAborted: aborted by this side (ERR_ABRT).
	ErrAborted = errors.New("stack: connection aborted")
	// ErrReset: reset by the peer (ERR_RST).
	ErrReset = errors.New("stack: connection reset by peer")
	// ErrRefused: the peer answered the SYN with RST.
	ErrRefused = errors.New("stack: connection refused")
	// ErrClosed: the connection or stack is closed (ERR_CLSD).
	ErrClosed = errors.New("stack: closed")
	// ErrNoPort: every port of the ephemeral range is taken for this remote.
	ErrNoPort = errors.New("stack: ephemeral ports exhausted")
	// ErrUnreachable: an ICMP error said that the destination can't be reached
	// (RFC 1122 4.2.3.9, 4.1.3.3).
	ErrUnreachable = errors.New("stack: destination unreachable")
	// ErrTooLong: the datagram is larger than IP can carry.
	ErrTooLong = errors.New("stack: message too long")
)
