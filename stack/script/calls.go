package script

import "fmt"

// outcome is what one attempt at a call gave. done false: the call would block.
type outcome struct {
	ret   int64
	err   errno
	done  bool
	wrong string // an argument that the call fills is not as the script says
}

func ok(ret int64) outcome { return outcome{ret: ret, done: true} }

func fail(e errno) outcome { return outcome{ret: -1, err: e, done: true} }

// attempt is a call that can be tried again while it blocks.
type attempt func() outcome

// pendingCall is a call that blocks, on a thread of its own as it were.
type pendingCall struct {
	r      *runner
	call   *Call
	try    attempt
	until  int64
	issued int64
	got    outcome
	at     int64 // when it returned
}

// retry tries the call again; true: it has returned.
func (p *pendingCall) retry() bool {
	if p.got.done {
		return false
	}
	if p.got = p.try(); p.got.done {
		p.at = p.r.now
	}
	return p.got.done
}

// callTable is what can be called. Each function checks its arguments and gives
// the attempt.
var callTable map[string]func(r *runner, c *Call) (attempt, error)

func init() {
	callTable = map[string]func(r *runner, c *Call) (attempt, error){
		"socket": callSocket, "bind": callBind, "listen": callListen, "accept": callAccept, "accept4": callAccept,
		"connect": callConnect, "close": callClose, "shutdown": callShutdown,
		"read": callRead, "recv": callRead, "recvfrom": callRead, "readv": callReadv, "recvmsg": callRecvmsg,
		"write": callWrite, "send": callWrite, "sendto": callSendto, "writev": callWritev, "sendmsg": callSendmsg,
		"fcntl": callFcntl, "ioctl": callIoctl, "poll": callPoll,
		"getsockopt": callGetsockopt, "setsockopt": callSetsockopt,
	}
}

// call makes a call; base is what its times are counted from.
func (r *runner) call(c *Call, base int64) error {
	fn := callTable[c.Name]
	if fn == nil {
		return unsupported(c.Line, "the call %s", c.Name)
	}
	if err := r.world(); err != nil {
		return err
	}
	r.wake = 0
	try, err := fn(r, c)
	if err != nil {
		return inCall(c, err)
	}
	r.w.stack.SetNow(r.now)
	got := try()
	if c.Blocks {
		if got.done {
			if base+c.End > r.now+r.cfg.tolerance {
				return mismatch(c.Line, "%s was to block until %s, but returned %s at once",
					c.Name, r.clock(base+c.End), result(got.ret, got.err))
			}
			return r.verdict(c, got)
		}
		r.pending = &pendingCall{r: r, call: c, try: try, until: base + c.End, issued: r.now}
		return nil
	}
	if !got.done {
		return mismatch(c.Line, "%s blocks", c.Name)
	}
	return r.verdict(c, got)
}

// inCall adds the place to an error about arguments.
func inCall(c *Call, err error) error {
	if e, is := err.(*Error); is && e.Line == 0 {
		e.Line = c.Line
		e.Msg += " (in " + c.Name + ")"
	}
	return err
}

// verdict compares what a call returned with what it was to return.
func (r *runner) verdict(c *Call, got outcome) error {
	if c.Result.kind != exprDots {
		want, err := c.Result.num()
		if err != nil {
			return inCall(c, err)
		}
		if want != got.ret || c.Errno != "" && errnoNames[got.err] != c.Errno && !(c.Errno == "EWOULDBLOCK" && got.err == errAGAIN) {
			m := mismatch(c.Line, "%s returned something else", c.Name)
			m.Expected = fmt.Sprintf("%s(...) = %s", c.Name, result(want, errNone))
			if c.Errno != "" {
				m.Expected += " " + c.Errno
			}
			m.Seen = fmt.Sprintf("%s(...) = %s", c.Name, result(got.ret, got.err))
			return m
		}
	}
	if got.wrong != "" {
		return mismatch(c.Line, "%s: %s", c.Name, got.wrong)
	}
	return nil
}

// awaitPending lets time pass until the call that blocks has returned, and
// judges it.
func (r *runner) awaitPending() error {
	p := r.pending
	if p == nil {
		return nil
	}
	tol := max(r.cfg.tolerance, int64(r.cfg.tolerancePct/100*float64(p.until-p.issued)))
	for !p.got.done {
		next := r.nextTime()
		if next > p.until+tol {
			r.advance(p.until + tol)
			break
		}
		r.step(next)
	}
	r.pending = nil
	switch {
	case !p.got.done:
		return mismatch(p.call.Line, "%s still blocks at %s; it was to return at %s", p.call.Name, r.clock(r.now), r.clock(p.until))
	case p.at < p.until-tol || p.at > p.until+tol:
		return mismatch(p.call.Line, "%s returned at %s; it was to return at %s", p.call.Name, r.clock(p.at), r.clock(p.until))
	}
	return r.verdict(p.call, p.got)
}

// arg is argument i, which there must be.
func (c *Call) arg(i int) *Expr {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return &Expr{kind: exprDots}
}

// num is argument i as a number; what the script leaves open (...) is def.
func (c *Call) num(i int, def int64) (int64, error) {
	e := c.arg(i)
	if e.kind == exprDots {
		return def, nil
	}
	return e.num()
}

// count is argument i as a length that fits the memory.
func (c *Call) count(i int) (int, error) {
	n, err := c.num(i, 0)
	if err == nil && (n < 0 || n > maxBytes) {
		return 0, syntax(c.Line, "%s: length %d outside 0 … %d", c.Name, n, maxBytes)
	}
	return int(n), err
}

// maxBytes bounds what one call moves.
const maxBytes = 64 << 20

// want reports an error unless the call has n arguments.
func (c *Call) want(n ...int) error {
	for _, k := range n {
		if len(c.Args) == k {
			return nil
		}
	}
	return syntax(c.Line, "%s has %d arguments, it takes %d", c.Name, len(c.Args), n[0])
}

// sock is the socket that argument 0 names; nil with errBADF as the outcome if
// there is none.
func (r *runner) sock(c *Call) (*sock, int64, error) {
	fd, err := c.num(0, -1)
	return r.fds[fd], fd, err
}

var badFD attempt = func() outcome { return fail(errBADF) }
