package script

import "fmt"

// Numbers of the options that this file speaks of by name.
const (
	soError        = 4
	soSndBuf       = 7
	soRcvBuf       = 8
	soKeep         = 9
	soLinger       = 13
	tcpNoDelay     = 1
	tcpMaxSeg      = 2
	tcpCork        = 3
	tcpKeepIdle    = 4
	tcpKeepIntvl   = 5
	tcpKeepCnt     = 6
	tcpUserTimeout = 18
	tcpInq         = 36
	ipTOS          = 1
	ipTTL          = 2
	ipMTUDiscover  = 10
)

// sockOpt is an option of a socket. set is called for a TCP or UDP socket that
// is there, and get only for TCP; nil set: the value is kept and has no effect
// on the stack. nil get: the value that was set.
type sockOpt struct {
	level, num int64
	set        func(s *sock, v int64) errno
	get        func(s *sock) int64
	kept       bool // no set on purpose
}

// sockOptNames are the options that scripts may use.
var sockOptNames map[string]*sockOpt

func init() {
	sockOptNames = map[string]*sockOpt{
		"SO_DEBUG": {level: solSocket, num: 1, kept: true}, "SO_REUSEADDR": {level: solSocket, num: 2, kept: true},
		"SO_TYPE":      {level: solSocket, num: 3, get: func(s *sock) int64 { return s.kind }},
		"SO_ERROR":     {level: solSocket, num: soError, get: func(s *sock) int64 { return int64(s.takeErr()) }},
		"SO_DONTROUTE": {level: solSocket, num: 5, kept: true}, "SO_BROADCAST": {level: solSocket, num: 6, set: setBroadcast},
		"SO_SNDBUF":    {level: solSocket, num: soSndBuf, set: setSndBuf, get: getDoubled(soSndBuf)},
		"SO_RCVBUF":    {level: solSocket, num: soRcvBuf, set: setRcvBuf, get: getDoubled(soRcvBuf)},
		"SO_KEEPALIVE": {level: solSocket, num: soKeep, set: setKeepAlive},
		"SO_OOBINLINE": {level: solSocket, num: 10, kept: true}, "SO_PRIORITY": {level: solSocket, num: 12, kept: true},
		"SO_LINGER": {level: solSocket, num: soLinger, set: setLinger}, "SO_REUSEPORT": {level: solSocket, num: 15, kept: true},
		"SO_RCVLOWAT": {level: solSocket, num: 18}, "SO_MARK": {level: solSocket, num: 36, kept: true},
		"SO_MAX_PACING_RATE": {level: solSocket, num: 47, set: setPacing},
		"SO_SNDBUFFORCE":     {level: solSocket, num: 32, set: setSndBuf}, "SO_RCVBUFFORCE": {level: solSocket, num: 33, set: setRcvBuf},

		"TCP_NODELAY": {level: solTCP, num: tcpNoDelay, set: setNoDelay}, "TCP_MAXSEG": {level: solTCP, num: tcpMaxSeg, set: setMaxSeg, get: getMaxSeg},
		"TCP_CORK": {level: solTCP, num: tcpCork, set: setCork}, "TCP_KEEPIDLE": {level: solTCP, num: tcpKeepIdle, set: setKeepAlive},
		"TCP_KEEPINTVL": {level: solTCP, num: tcpKeepIntvl, set: setKeepAlive}, "TCP_KEEPCNT": {level: solTCP, num: tcpKeepCnt, set: setKeepAlive},
		"TCP_SYNCNT": {level: solTCP, num: 7, set: setSynCount}, "TCP_LINGER2": {level: solTCP, num: 8}, "TCP_DEFER_ACCEPT": {level: solTCP, num: 9},
		"TCP_QUICKACK": {level: solTCP, num: 12, set: setQuickAck}, "TCP_CONGESTION": {level: solTCP, num: 13, set: setCongestion},
		"TCP_USER_TIMEOUT":       {level: solTCP, num: tcpUserTimeout, set: setUserTimeout},
		"TCP_FASTOPEN":           {level: solTCP, num: tcpFastOpen, set: setFastOpen},
		"TCP_FASTOPEN_CONNECT":   {level: solTCP, num: tcpFastOpenConnect, set: setFastOpenConnect},
		"TCP_FASTOPEN_KEY":       {level: solTCP, num: tcpFastOpenKey, set: setFastOpenKey},
		"TCP_FASTOPEN_NO_COOKIE": {level: solTCP, num: tcpFastOpenNoCookie, set: setFastOpenNoCookie},
		"TCP_NOTSENT_LOWAT":      {level: solTCP, num: 25}, "TCP_INQ": {level: solTCP, num: tcpInq, kept: true},

		"IP_TOS": {level: solIP, num: ipTOS, set: setTOS}, "IP_TTL": {level: solIP, num: ipTTL, set: setTTL},
		"IP_MTU_DISCOVER": {level: solIP, num: ipMTUDiscover}, "IP_FREEBIND": {level: solIP, num: 15, kept: true},
		"IP_RECVERR":  {level: solIP, num: 11, kept: true},
		"IPV6_TCLASS": {level: solIPv6, num: 67, set: setTOS}, "IPV6_UNICAST_HOPS": {level: solIPv6, num: 16, set: setTTL},
		"IPV6_V6ONLY": {level: solIPv6, num: 26, kept: true}, "IPV6_MTU_DISCOVER": {level: solIPv6, num: 23},
	}
}

// optOf finds the option that two arguments name.
func optOf(c *Call) (*sockOpt, string, error) {
	level, err := c.num(1, 0)
	if err != nil {
		return nil, "", err
	}
	e := c.arg(2)
	if e.kind == exprWord {
		if o := sockOptNames[e.Str]; o != nil {
			if o.level != level {
				return nil, e.Str, nil
			}
			return o, e.Str, nil
		}
		return nil, "", unsupported(c.Line, "the socket option %s", e.Str)
	}
	n, err := e.num()
	if err != nil {
		return nil, "", err
	}
	for name, o := range sockOptNames {
		if o.level == level && o.num == n {
			return o, name, nil
		}
	}
	return nil, "", unsupported(c.Line, "the socket option %d of level %d", n, level)
}

// optCall finds the socket and the option that a call of five arguments names.
// instead, if not nil, is what the call comes to for want of one of them.
func (r *runner) optCall(c *Call) (s *sock, o *sockOpt, name string, instead attempt, err error) {
	if err = c.want(5); err != nil {
		return nil, nil, "", nil, err
	}
	if s, _, err = r.sock(c); err != nil || s == nil {
		return nil, nil, "", badFD, err
	}
	if o, name, err = optOf(c); err == nil && o == nil {
		instead = func() outcome { return fail(errNOPROTOOPT) }
	}
	return s, o, name, instead, err
}

// callSetsockopt is setsockopt(fd, level, option, [value], length).
func callSetsockopt(r *runner, c *Call) (attempt, error) {
	s, o, name, instead, err := r.optCall(c)
	if err != nil || instead != nil {
		return instead, err
	}
	if o.set == nil && !o.kept {
		if o.get != nil {
			return func() outcome { return fail(errNOPROTOOPT) }, nil
		}
		return nil, unsupported(c.Line, "setting %s", name)
	}
	v, text, err := optValue(c.arg(3), name)
	if err != nil {
		return nil, err
	}
	return func() outcome {
		key := optKey{o.level, o.num}
		was, had := s.opts[key]
		s.opts[key] = v
		s.optText = text
		if o.set == nil {
			return ok(0)
		}
		e := o.set(s, v)
		if e == errNone {
			return ok(0)
		}
		s.opts[key] = was
		if !had {
			delete(s.opts, key)
		}
		return fail(e)
	}, nil
}

// optValue reads the value of an option: [5], 5, "reno" or {onoff=1, linger=0}.
func optValue(e *Expr, name string) (int64, string, error) {
	switch e.kind {
	case exprString:
		return 0, e.Str, nil
	case exprStruct:
		on, linger := e.member("onoff"), e.member("linger")
		if on == nil || linger == nil {
			return 0, "", unsupported(0, "this value of %s", name)
		}
		a, err := on.num()
		if err != nil {
			return 0, "", err
		}
		b, err := linger.num()
		if a == 0 {
			return -1, "", err
		}
		return b, "", err
	}
	v, err := e.num()
	return v, "", err
}

// callGetsockopt is getsockopt(fd, level, option, [value], [length]).
func callGetsockopt(r *runner, c *Call) (attempt, error) {
	s, o, name, instead, err := r.optCall(c)
	if err != nil || instead != nil {
		return instead, err
	}
	want := c.arg(3)
	open := want.kind == exprDots || want.kind == exprList && len(want.Args) == 1 && want.Args[0].kind == exprDots
	var v int64
	if !open {
		if v, _, err = optValue(want, name); err != nil {
			return nil, err
		}
	}
	return func() outcome {
		have := s.opts[optKey{o.level, o.num}]
		if o.get != nil {
			have = o.get(s)
		}
		got := ok(0)
		if !open && have != v {
			got.wrong = fmt.Sprintf("%s is %d, expected %d", name, have, v)
		}
		return got
	}, nil
}
