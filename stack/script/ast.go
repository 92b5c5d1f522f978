package script

// Script is a parsed script. It can be run any number of times.
type Script struct {
	Name    string
	Options []Option
	Init    []Command // shell commands in front of the first event
	Events  []Event
	Cleanup []Command // and behind the last
}

// Option is a line --Name=Value.
type Option struct {
	Name, Value string
	Line        int
}

// Command is a shell command line in back quotes.
type Command struct {
	Text string
	Line int
}

// Event is something that happens at a time. Exactly one of Packet, Call,
// Command and Code is set.
type Event struct {
	Line    int
	Text    string // as written, on one line
	When    When
	Packet  *Packet
	Call    *Call
	Command *Command
	Code    *Code
}

// timeKind says what an event's time refers to.
type timeKind uint8

const (
	timeAbsolute      timeKind = iota // 1.5
	timeRelative                      // +.1
	timeAny                           // *
	timeAbsoluteRange                 // 1~2
	timeRelativeRange                 // +1~+2
)

// When is the time of an event, in nanoseconds since the first or the previous
// one. End is set in ranges.
type When struct {
	kind       timeKind
	start, end int64
}

// Call is a system call with the result that it must have.
type Call struct {
	Line    int
	Name    string
	Args    []*Expr
	Blocks  bool  // it blocks
	End     int64 // and returns at that time, ns, counted as the event's own
	Result  *Expr
	Errno   string // "" or E…
	HasNote bool
}

// Code is a snippet for the expression evaluator.
type Code struct {
	Line int
	Text string
	prog []*stmt
}

// exprKind is the kind of an Expr.
type exprKind uint8

const (
	exprDots   exprKind = iota // ...
	exprInt                    // Int
	exprWord                   // Str, a symbol
	exprString                 // Str
	exprOr                     // Args[0] | Args[1]
	exprAssign                 // Str = Args[0]
	exprList                   // [Args…]
	exprStruct                 // {Args…}, whose members may be exprAssign
	exprCall                   // Str(Args…), as htons(8080)
)

// Expr is an argument or a result of a call.
type Expr struct {
	kind exprKind
	Int  int64
	Str  string
	Args []*Expr
}

// ECN says what is asked of the ECN bits of a packet.
type ecnCheck uint8

const (
	ecnAny   ecnCheck = iota // not named: any out, Not-ECT in
	ecnBits                  // exactly Packet.ECN
	ecnECT01                 // ECT(0) or ECT(1)
	ecnTOS                   // the whole byte Packet.TOS
)

// Protocols of packets.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// TCP flags, as in the header, and AE above them.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
	flagURG
	flagECE
	flagCWR
	flagAE
)

// Packet is a packet of the script, or one of the stack in the same terms. What
// a script leaves open is -1, unless its comment says otherwise.
type Packet struct {
	Line    int
	Inbound bool
	Proto   uint8 // of the wire; ICMP is protoICMP for either family

	ecn     ecnCheck
	TOS     uint8  // with ecnBits only the two bits
	TTL     int    // 0: open
	Flow    int    // flow label
	SrcPort uint16 // 0: the connection's
	DstPort uint16

	// TCP. Len is also the payload of UDP.
	Flags   uint16
	ACE     int // AccECN count instead of E, W and A
	Seq     uint32
	Len     int
	Ack     uint32
	Win     int
	Urg     uint16
	Opts    []TCPOption
	AnyOpts bool // <...>

	// ICMP.
	Type, Code uint8
	MTU        int
	ID         int
	Echo       *Echoed // of an error: the packet that it quotes

	data []byte // payload of a live packet
}

// Echoed is what an ICMP error quotes.
type Echoed struct {
	Proto uint8 // 0: raw bytes
	Seq   uint32
	Len   int
}

// TCP option kinds.
const (
	optEOL        = 0
	optNOP        = 1
	optMSS        = 2
	optWScale     = 3
	optSACKOK     = 4
	optSACK       = 5
	optTS         = 8
	optMD5        = 19
	optUTO        = 28
	optFastOpen   = 34
	optAccECN0    = 172
	optAccECN1    = 174
	optExp        = 254
	fastOpenMagic = 0xf989 // RFC 7413 9
)

// TCPOption is one option of a segment.
type TCPOption struct {
	Kind   uint8
	Num    uint32 // MSS, shift count, or TS val
	Ecr    uint32
	Blocks [][2]uint32
	Data   []byte // cookie, or the bytes of an option that is not known
	good   bool   // the cookie is the one that is good
}

// Flag letters in the order in which they are written.
const flagLetters = "FSRP.UEWA"
