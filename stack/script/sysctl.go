package script

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/shardstack/shardstack/stack"
)

// config is what options and sysctls have set.
type config struct {
	v6, mapped     bool
	mtu            int
	local, remote  netip.Addr
	gateway        netip.Addr
	prefixLen      int
	bindPort       uint16
	connectPort    uint16
	tolerance      int64 // ns
	tolerancePct   float64
	tsTick         int64 // ns a tick of the timestamps; 0: not compared
	tsScaled       bool
	strictSegments bool
	strictOptions  bool
	strictPSH      bool
	stack          stack.Config
}

// Addresses that scripts do not name: the benchmark network of RFC 2544 and the
// documentation prefix of RFC 3849.
var (
	local4, gateway4, remote4 = netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.254"), netip.MustParseAddr("198.19.0.1")
	local6, gateway6, remote6 = netip.MustParseAddr("2001:db8:0:1::1"), netip.MustParseAddr("2001:db8:0:1::fe"), netip.MustParseAddr("2001:db8:1::1")
)

// configure applies the options and the command lines at the start.
func (r *runner) configure() error {
	c := &r.cfg
	*c = config{mtu: 1500, bindPort: 8080, connectPort: 8080, tolerance: 4e6, tolerancePct: 12.5, stack: r.opt.Config}
	if r.opt.Strict {
		c.tolerance, c.tolerancePct = 2e6, 0
	}
	c.stack.TCP.Meter = c.stack.TCP.Meter || r.s.wantsMeter()
	if v := r.opt.IPVersion; v != "" {
		if err := r.option(Option{Name: "ip_version", Value: v}); err != nil {
			return err
		}
	}
	for _, list := range [][]Option{r.opt.Options, r.s.Options} {
		for _, o := range list {
			if err := r.option(o); err != nil {
				return err
			}
		}
	}
	def := func(a *netip.Addr, v4, v6 netip.Addr) {
		if !a.IsValid() {
			*a = v4
			if c.v6 {
				*a = v6
			}
		}
	}
	def(&c.local, local4, local6)
	def(&c.remote, remote4, remote6)
	if c.prefixLen == 0 {
		c.prefixLen = 24
		if c.v6 {
			c.prefixLen = 64
		}
	}
	if c.local.Is6() != c.v6 || c.remote.Is6() != c.v6 {
		return syntax(0, "the addresses are not of the IP version")
	}
	if !c.gateway.IsValid() {
		c.gateway = gateway4
		if c.v6 {
			c.gateway = gateway6
		}
		if p := netip.PrefixFrom(c.local, c.prefixLen).Masked(); !p.Contains(c.gateway) {
			c.gateway = p.Addr().Next()
			if c.gateway == c.local {
				c.gateway = c.gateway.Next()
			}
		}
	}
	for _, cmd := range r.s.Init {
		if err := r.command(cmd); err != nil {
			return err
		}
	}
	return nil
}

// option applies one --name=value.
func (r *runner) option(o Option) error {
	c := &r.cfg
	bad := func(err error) error {
		if err != nil {
			return syntax(o.Line, "--%s=%s: %v", o.Name, o.Value, err)
		}
		return nil
	}
	n, errN := strconv.ParseInt(o.Value, 0, 64)
	var err error
	switch o.Name {
	case "ip_version":
		c.v6, c.mapped = o.Value == "ipv6", o.Value == "ipv4-mapped-ipv6"
		if !c.v6 && !c.mapped && o.Value != "ipv4" {
			return syntax(o.Line, "--ip_version=%s: want ipv4, ipv4-mapped-ipv6 or ipv6", o.Value)
		}
	case "local_ip":
		c.local, err = netip.ParseAddr(o.Value)
		return bad(err)
	case "remote_ip":
		addr, _, _ := strings.Cut(o.Value, "/")
		c.remote, err = netip.ParseAddr(addr)
		return bad(err)
	case "gateway_ip":
		c.gateway, err = netip.ParseAddr(o.Value)
		return bad(err)
	case "netmask_ip":
		mask, err := netip.ParseAddr(o.Value)
		if err == nil && mask.Is4() {
			b := mask.As4()
			c.prefixLen = 32 - len(strings.TrimLeft(strconv.FormatUint(uint64(be.Uint32(b[:])), 2), "1"))
		}
		return bad(err)
	case "bind_port", "connect_port":
		if errN == nil && (n < 1 || n > 65535) {
			return syntax(o.Line, "--%s=%s: not a port", o.Name, o.Value)
		}
		if o.Name == "bind_port" {
			c.bindPort = uint16(n)
		} else {
			c.connectPort = uint16(n)
		}
		return bad(errN)
	case "mtu":
		c.mtu = int(n)
		return bad(errN)
	case "tolerance_usecs":
		c.tolerance = n * 1000
		return bad(errN)
	case "tolerance_percent":
		c.tolerancePct, err = strconv.ParseFloat(o.Value, 64)
		return bad(err)
	case "tcp_ts_tick_usecs":
		c.tsTick = n * 1000
		return bad(errN)
	case "tcp_ts_ecr_scaled":
		c.tsScaled = true
	case "strict_segments":
		c.strictSegments = true
	case "strict_options":
		c.strictOptions = true
	case "strict_psh":
		c.strictPSH = true
	case "verbose", "debug", "dry_run", "speed", "mss", "code_command", "code_format", "code_sockopt", "init_scripts",
		"is_anyip", "send_omit_free", "non_fatal":
		// of no meaning on a simulated wire
	default:
		return unsupported(o.Line, "the option --%s", o.Name)
	}
	return nil
}

// command carries out a shell command line: the sysctls in it.
func (r *runner) command(c Command) error {
	text := strings.ReplaceAll(c.Text, "\\\n", " ")
	for _, line := range strings.FieldsFunc(text, func(ch rune) bool { return ch == '\n' || ch == ';' }) {
		line, _, _ = strings.Cut(line, " #")
		words := shellWords(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := r.shell(c.Line, words); err != nil {
			return err
		}
	}
	return nil
}

// shellWords cuts a command line at blanks, heeding quotes.
func shellWords(s string) (out []string) {
	var b strings.Builder
	quote, inWord := rune(0), false
	for _, c := range s {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r'):
			if inWord {
				out = append(out, b.String())
				b.Reset()
				inWord = false
			}
		default:
			b.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, b.String())
	}
	return out
}

// shell carries out one command.
func (r *runner) shell(line int, w []string) error {
	base := w[0][strings.LastIndexByte(w[0], '/')+1:]
	switch {
	case base == "defaults.sh":
		return r.packetdrillDefaults(line)
	case base == "set_sysctls.py" || base == "sysctl":
		return r.assignments(line, w[1:])
	case base == "echo" && len(w) >= 4 && w[len(w)-2] == ">":
		return r.sysctl(line, w[len(w)-1], strings.Join(w[1:len(w)-2], " "))
	case base == "echo" && len(w) >= 3 && strings.HasPrefix(w[len(w)-1], ">/"):
		return r.sysctl(line, w[len(w)-1][1:], strings.Join(w[1:len(w)-1], " "))
	}
	if strings.Join(w[:min(len(w), 3)], " ") == "ip tcp_metrics flush" {
		if r.w != nil {
			r.w.stack.FlushFastOpen()
		}
		return nil
	}
	r.warn(line, "command %q has no meaning here", strings.Join(w, " "))
	return nil
}

// assignments carries out name=value arguments of sysctl.
func (r *runner) assignments(line int, args []string) error {
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			if strings.HasPrefix(a, "-") || strings.ContainsAny(a, "<>|&") || a == "/dev/null" {
				continue
			}
			r.warn(line, "sysctl %s is read, not set", a)
			continue
		}
		if err := r.sysctl(line, name, value); err != nil {
			return err
		}
	}
	return nil
}

// sysctl sets one: net.ipv4.tcp_sack or /proc/sys/net/ipv4/tcp_sack.
func (r *runner) sysctl(line int, name, value string) error {
	name = strings.ReplaceAll(strings.TrimPrefix(name, "/proc/sys/"), "/", ".")
	short := name[strings.LastIndexByte(name, '.')+1:]
	if live := liveSysctls[short]; live != nil {
		if err := live(r, value); err != nil {
			return syntax(line, "sysctl %s=%s: %v", name, value, err)
		}
		return nil
	}
	set, known := sysctls[short]
	if strings.HasPrefix(name, "shardstack.") {
		set, known = knobs[short]
	}
	if !known {
		r.warn(line, "sysctl %s has no equal here", name)
		return nil
	}
	if set == nil { // it asks for what the stack does anyway, or never
		return nil
	}
	why, err := set(&r.cfg.stack, strings.Fields(value))
	if err != nil {
		return syntax(line, "sysctl %s=%s: %v", name, value, err)
	}
	if why != "" {
		r.warn(line, "sysctl %s=%s: %s", name, value, why)
	}
	if r.w != nil {
		return r.reconfigure(line, name)
	}
	return nil
}

// reconfigure takes settings that come after the first event over: a stack
// without a connection is made anew, any other keeps what it has.
func (r *runner) reconfigure(line int, name string) error {
	if len(r.fds) > 0 {
		r.warn(line, "sysctl %s comes too late: the stack is in use", name)
		return nil
	}
	live := false
	r.w.stack.EachTCP(func(*stack.TCP) { live = true })
	if live {
		r.warn(line, "sysctl %s comes too late: the stack has connections", name)
		return nil
	}
	err := r.w.close()
	r.w = nil
	if err != nil {
		return mismatch(line, "%v", err)
	}
	return nil
}

func (r *runner) warn(line int, format string, a ...any) {
	e := mismatch(line, format, a...)
	e.File = r.s.Name
	r.res.Warnings = append(r.res.Warnings, e.Error())
}

// packetdrillDefaults is what the script of that name in packetdrill's test
// suite sets, as far as it differs from this stack's own defaults.
func (r *runner) packetdrillDefaults(line int) error {
	for _, a := range []string{
		"tcp_rmem=4096 540000 15728640", "tcp_wmem=4096 262144 4194304", "tcp_timestamps=1", "tcp_syn_retries=5",
		"tcp_synack_retries=5", "tcp_sack=1", "tcp_congestion_control=cubic", "tcp_slow_start_after_idle=0", "tcp_ecn=0",
		"tcp_fastopen=0x70403", "tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
		"shardstack.quick_acks=16", // Linux acknowledges the first segments at once
	} {
		name, value, _ := strings.Cut(a, "=")
		if err := r.sysctl(line, name, value); err != nil {
			return err
		}
	}
	return nil
}

// sysctlFunc sets a knob from a sysctl's words; why says what part of it has no
// equal.
type sysctlFunc func(c *stack.Config, v []string) (why string, err error)

func onOff(set func(c *stack.Config, on bool)) sysctlFunc {
	return number(func(c *stack.Config, n int64) string {
		set(c, n != 0)
		return ""
	})
}

func number(set func(c *stack.Config, n int64) string) sysctlFunc {
	return func(c *stack.Config, v []string) (string, error) {
		if len(v) == 0 {
			v = []string{""}
		}
		n, err := strconv.ParseInt(v[len(v)-1], 0, 64)
		if err != nil {
			return "", err
		}
		return set(c, n), nil
	}
}

func duration(unit time.Duration, field func(c *stack.Config) *time.Duration) sysctlFunc {
	return number(func(c *stack.Config, n int64) string {
		*field(c) = time.Duration(n) * unit
		return ""
	})
}

func count(field func(c *stack.Config) *int) sysctlFunc {
	return number(func(c *stack.Config, n int64) string {
		*field(c) = int(n)
		return ""
	})
}
