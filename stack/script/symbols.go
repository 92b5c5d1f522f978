package script

import (
	"errors"
	"strings"

	"github.com/shardstack/shardstack/stack"
)

// errno is the number of an error, as Linux has it.
type errno int64

const errNone errno = 0

// The errors that calls give.
const (
	errPERM           errno = 1
	errNOENT          errno = 2
	errINTR           errno = 4
	errBADF           errno = 9
	errAGAIN          errno = 11
	errNOMEM          errno = 12
	errFAULT          errno = 14
	errINVAL          errno = 22
	errPIPE           errno = 32
	errNOTSOCK        errno = 88
	errDESTADDRREQ    errno = 89
	errMSGSIZE        errno = 90
	errNOPROTOOPT     errno = 92
	errPROTONOSUPPORT errno = 93
	errOPNOTSUPP      errno = 95
	errAFNOSUPPORT    errno = 97
	errADDRINUSE      errno = 98
	errADDRNOTAVAIL   errno = 99
	errNETUNREACH     errno = 101
	errCONNABORTED    errno = 103
	errCONNRESET      errno = 104
	errNOBUFS         errno = 105
	errISCONN         errno = 106
	errNOTCONN        errno = 107
	errTIMEDOUT       errno = 110
	errCONNREFUSED    errno = 111
	errHOSTUNREACH    errno = 113
	errALREADY        errno = 114
	errINPROGRESS     errno = 115
)

var errnoNames = map[errno]string{
	errPERM: "EPERM", errNOENT: "ENOENT", errINTR: "EINTR", errBADF: "EBADF", errAGAIN: "EAGAIN", errNOMEM: "ENOMEM", errFAULT: "EFAULT",
	errINVAL: "EINVAL", errPIPE: "EPIPE", errNOTSOCK: "ENOTSOCK", errDESTADDRREQ: "EDESTADDRREQ",
	errMSGSIZE: "EMSGSIZE", errNOPROTOOPT: "ENOPROTOOPT", errOPNOTSUPP: "EOPNOTSUPP", errPROTONOSUPPORT: "EPROTONOSUPPORT", errAFNOSUPPORT: "EAFNOSUPPORT", errADDRINUSE: "EADDRINUSE",
	errADDRNOTAVAIL: "EADDRNOTAVAIL", errNETUNREACH: "ENETUNREACH", errCONNABORTED: "ECONNABORTED",
	errCONNRESET: "ECONNRESET", errNOBUFS: "ENOBUFS", errISCONN: "EISCONN", errNOTCONN: "ENOTCONN",
	errTIMEDOUT: "ETIMEDOUT", errCONNREFUSED: "ECONNREFUSED", errHOSTUNREACH: "EHOSTUNREACH",
	errALREADY: "EALREADY", errINPROGRESS: "EINPROGRESS",
}

// errnoOf is the errno that a socket gives for an error of the stack.
func errnoOf(err error) errno {
	for _, m := range []struct {
		err error
		no  errno
	}{
		{nil, errNone}, {stack.ErrMem, errNOBUFS}, {stack.ErrBuf, errNOBUFS}, {stack.ErrTimeout, errTIMEDOUT},
		{stack.ErrRoute, errNETUNREACH}, {stack.ErrVal, errINVAL}, {stack.ErrUse, errADDRINUSE},
		{stack.ErrIsConn, errISCONN}, {stack.ErrConn, errNOTCONN}, {stack.ErrAborted, errCONNABORTED},
		{stack.ErrReset, errCONNRESET}, {stack.ErrRefused, errCONNREFUSED}, {stack.ErrClosed, errBADF},
		{stack.ErrNoPort, errADDRNOTAVAIL}, {stack.ErrUnreachable, errHOSTUNREACH}, {stack.ErrTooLong, errMSGSIZE},
	} {
		if errors.Is(err, m.err) {
			return m.no
		}
	}
	return errINVAL
}

// Numbers of the socket interface, as Linux has them.
const (
	afINET     = 2
	afINET6    = 10
	sockStream = 1
	sockDgram  = 2
	sockRaw    = 3
	solSocket  = 1
	solIP      = 0
	solTCP     = 6
	solIPv6    = 41
	oNonblock  = 0x800
	oRDWR      = 2

	msgOOB      = 0x1
	msgPeek     = 0x2
	msgTrunc    = 0x20
	msgDontWait = 0x40
	msgWaitAll  = 0x100
	msgNoSignal = 0x4000
	msgMore     = 0x8000
	msgFastOpen = 0x20000000

	pollIn    = 0x1
	pollOut   = 0x4
	pollErr   = 0x8
	pollHup   = 0x10
	pollNval  = 0x20
	pollRdHup = 0x2000

	siocINQ  = 0x541b
	siocOUTQ = 0x5411
	// what is queued but was not sent yet
	siocOUTQNSD = 0x894b
)

// symbols are the words that scripts use for numbers in arguments.
var symbols = map[string]int64{
	"AF_INET": afINET, "AF_INET6": afINET6, "PF_INET": afINET, "PF_INET6": afINET6, "AF_UNSPEC": 0,
	"SOCK_STREAM": sockStream, "SOCK_DGRAM": sockDgram, "SOCK_RAW": sockRaw,
	"SOCK_NONBLOCK": oNonblock, "SOCK_CLOEXEC": 0x80000,
	"IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_IPV6": 41, "IPPROTO_ICMPV6": 58,
	"SOL_SOCKET": solSocket, "SOL_IP": solIP, "SOL_TCP": solTCP, "SOL_IPV6": solIPv6,
	"F_GETFL": 3, "F_SETFL": 4, "O_RDWR": oRDWR, "O_NONBLOCK": oNonblock, "O_RDONLY": 0,
	"SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
	"MSG_OOB": msgOOB, "MSG_PEEK": msgPeek, "MSG_TRUNC": msgTrunc, "MSG_DONTWAIT": msgDontWait,
	"MSG_WAITALL": msgWaitAll, "MSG_NOSIGNAL": msgNoSignal, "MSG_MORE": msgMore, "MSG_FASTOPEN": msgFastOpen,
	"MSG_EOR": 0x80, "MSG_ERRQUEUE": 0x2000, "MSG_ZEROCOPY": 0x4000000, "MSG_CTRUNC": 8,
	"POLLIN": pollIn, "POLLPRI": 2, "POLLOUT": pollOut, "POLLERR": pollErr, "POLLHUP": pollHup, "POLLNVAL": pollNval,
	"POLLRDHUP": pollRdHup, "POLLRDNORM": 0x40, "POLLWRNORM": 0x100,
	"SIOCINQ": siocINQ, "FIONREAD": siocINQ, "SIOCOUTQ": siocOUTQ, "TIOCOUTQ": siocOUTQ, "SIOCOUTQNSD": siocOUTQNSD,
	"FIONBIO":          0x5421,
	"IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3, "IP_PMTUDISC_INTERFACE": 4,
	"IP_PMTUDISC_OMIT": 5, "NULL": 0,
	"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16,
	"TCPI_OPT_SYN_DATA": 32, "TCPI_OPT_USEC_TS": 64, "TCP_INFINITE_SSTHRESH": infiniteSsthresh,
	"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5,
	"TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
	"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
}

// infiniteSsthresh is what tcpi_snd_ssthresh says before the first loss.
const infiniteSsthresh = 0x7fffffff

// num is the value of an argument that is a number.
func (e *Expr) num() (int64, error) {
	switch e.kind {
	case exprInt:
		return e.Int, nil
	case exprWord:
		if v, ok := symbols[e.Str]; ok {
			return v, nil
		}
		if o, ok := sockOptNames[e.Str]; ok {
			return o.num, nil
		}
		return 0, unsupported(0, "the name %s", e.Str)
	case exprOr:
		a, err := e.Args[0].num()
		if err != nil {
			return 0, err
		}
		b, err := e.Args[1].num()
		return a | b, err
	case exprList:
		if len(e.Args) == 1 {
			return e.Args[0].num()
		}
	case exprCall:
		if (e.Str == "htons" || e.Str == "htonl") && len(e.Args) == 1 {
			return e.Args[0].num()
		}
	}
	return 0, unsupported(0, "an argument that is not a number where one is needed")
}

// result formats what a call returned.
func result(ret int64, e errno) string {
	if e == errNone {
		return itoa(int(ret))
	}
	name := errnoNames[e]
	if name == "" {
		name = "errno " + itoa(int(e))
	}
	return strings.TrimSpace(itoa(int(ret)) + " " + name)
}
