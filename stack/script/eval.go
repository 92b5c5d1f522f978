package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/stack"
)

type valueKind uint8

const (
	vInt valueKind = iota
	vFloat
	vBool
	vStr
	vList
)

// value is what an expression gives.
type value struct {
	kind valueKind
	i    int64 // also of bool
	f    float64
	s    string
	list []value
}

func boolean(b bool) value {
	v := value{kind: vBool}
	if b {
		v.i = 1
	}
	return v
}

func integer(i int64) value { return value{kind: vInt, i: i} }

// truth is what a condition takes the value for.
func (v value) truth() bool {
	switch v.kind {
	case vFloat:
		return v.f != 0
	case vStr:
		return v.s != ""
	case vList:
		return len(v.list) > 0
	}
	return v.i != 0
}

// number is the value as a float, and whether it is a number.
func (v value) number() (float64, bool) {
	switch v.kind {
	case vFloat:
		return v.f, true
	case vInt, vBool:
		return float64(v.i), true
	}
	return 0, false
}

// String is what print writes.
func (v value) String() string {
	switch v.kind {
	case vFloat:
		return strconv.FormatFloat(v.f, 'g', -1, 64)
	case vBool:
		if v.i != 0 {
			return "True"
		}
		return "False"
	case vStr:
		return v.s
	case vList:
		var s []string
		for _, e := range v.list {
			s = append(s, e.String())
		}
		return "[" + strings.Join(s, ", ") + "]"
	}
	return strconv.FormatInt(v.i, 10)
}

func equal(a, b value) bool {
	if a.kind == vStr || b.kind == vStr {
		return a.kind == b.kind && a.s == b.s
	}
	if a.kind == vList || b.kind == vList {
		if a.kind != b.kind || len(a.list) != len(b.list) {
			return false
		}
		for i := range a.list {
			if !equal(a.list[i], b.list[i]) {
				return false
			}
		}
		return true
	}
	if a.kind != vFloat && b.kind != vFloat {
		return a.i == b.i
	}
	x, _ := a.number()
	y, _ := b.number()
	return x == y
}

// scope is what names mean in a snippet.
type scope struct {
	r    *runner
	info *stack.TCPInfo
	line int
}

// code runs a snippet.
func (r *runner) code(c *Code) error {
	sc := &scope{r: r, info: r.info(), line: c.Line}
	return sc.run(c.prog)
}

func (sc *scope) run(prog []*stmt) error {
	for _, s := range prog {
		sc.line = s.line
		if err := sc.exec(s); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scope) exec(s *stmt) error {
	if s.kind == stmtPass {
		return nil
	}
	v, err := sc.eval(s.x)
	if err != nil {
		return err
	}
	switch s.kind {
	case stmtAssert:
		if v.truth() {
			return nil
		}
		m := mismatch(sc.line, "assertion failed: %s", s.x)
		m.Seen = sc.values(s.x)
		if s.msg != nil {
			if v, err := sc.eval(s.msg); err == nil {
				m.Msg += ": " + v.String()
			}
		}
		return m
	case stmtAssign:
		if s.op != "" {
			old, err := sc.name(s.name)
			if err != nil {
				return err
			}
			if v, err = sc.arith(s.op, old, v); err != nil {
				return err
			}
		}
		sc.r.vars[s.name] = v
	case stmtIf:
		if v.truth() {
			return sc.run(s.body)
		}
	}
	return nil
}

// values lists what the names in an expression stand for.
func (sc *scope) values(n *node) string {
	var out []string
	seen := map[string]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if n.op == "name" && !seen[n.name] {
			seen[n.name] = true
			if v, err := sc.name(n.name); err == nil {
				out = append(out, n.name+" = "+v.String())
			}
		}
		for _, a := range n.args {
			walk(a)
		}
	}
	walk(n)
	return strings.Join(out, ", ")
}

func (sc *scope) name(name string) (value, error) {
	if v, ok := sc.r.vars[name]; ok {
		return v, nil
	}
	if fn, ok := infoFields[name]; ok {
		return integer(fn(sc.info)), nil
	}
	switch name {
	case "True", "False":
		return boolean(name == "True"), nil
	case "None":
		return value{kind: vList}, nil
	}
	if v, ok := symbols[name]; ok {
		return integer(v), nil
	}
	return value{}, unsupported(sc.line, "the name %s in code", name)
}

func (sc *scope) fault(format string, a ...any) error {
	return syntax(sc.line, "code: "+format, a...)
}

func (sc *scope) eval(n *node) (value, error) {
	switch n.op {
	case "num", "str":
		return n.v, nil
	case "name":
		return sc.name(n.name)
	case "or", "and":
		v, err := sc.eval(n.args[0])
		if err != nil || v.truth() == (n.op == "or") {
			return v, err
		}
		return sc.eval(n.args[1])
	case "if":
		v, err := sc.eval(n.args[0])
		if err != nil {
			return v, err
		}
		if v.truth() {
			return sc.eval(n.args[1])
		}
		return sc.eval(n.args[2])
	}
	args := make([]value, len(n.args))
	for i, a := range n.args {
		v, err := sc.eval(a)
		if err != nil {
			return v, err
		}
		args[i] = v
	}
	switch n.op {
	case "list":
		return value{kind: vList, list: args}, nil
	case "call":
		return sc.builtin(n.name, args)
	case "not":
		return boolean(!args[0].truth()), nil
	case "cmp":
		return sc.compare(n.ops, args)
	case "unary-":
		return sc.arith("-", integer(0), args[0])
	case "unary+":
		return args[0], nil
	case "unary~":
		return integer(^args[0].i), nil
	}
	return sc.arith(n.op, args[0], args[1])
}

// compare evaluates a chain of comparisons.
func (sc *scope) compare(ops []string, args []value) (value, error) {
	for i, op := range ops {
		a, b := args[i], args[i+1]
		var is bool
		switch op {
		case "==", "is":
			is = equal(a, b)
		case "!=":
			is = !equal(a, b)
		case "in", "not in":
			if b.kind == vStr {
				is = strings.Contains(b.s, a.s)
			}
			for _, e := range b.list {
				is = is || equal(a, e)
			}
			is = is == (op == "in")
		default:
			x, okX := a.number()
			y, okY := b.number()
			if !okX || !okY {
				return value{}, sc.fault("%s of values that are not numbers", op)
			}
			switch op {
			case "<":
				is = x < y
			case ">":
				is = x > y
			case "<=":
				is = x <= y
			case ">=":
				is = x >= y
			}
		}
		if !is {
			return boolean(false), nil
		}
	}
	return boolean(true), nil
}

// arith evaluates an operator with two operands.
func (sc *scope) arith(op string, a, b value) (value, error) {
	if a.kind == vStr || b.kind == vStr {
		return sc.strings(op, a, b)
	}
	x, okX := a.number()
	y, okY := b.number()
	if !okX || !okY {
		return value{}, sc.fault("%s of values that are not numbers", op)
	}
	if (op == "/" || op == "//" || op == "%") && y == 0 {
		return value{}, sc.fault("division by zero")
	}
	if a.kind == vFloat || b.kind == vFloat || op == "/" {
		v := map[string]float64{"+": x + y, "-": x - y, "*": x * y, "/": x / y, "//": math.Floor(x / y),
			"%": x - y*math.Floor(x/y), "**": math.Pow(x, y)}
		f, ok := v[op]
		if !ok {
			return value{}, sc.fault("%s of floating point numbers", op)
		}
		return value{kind: vFloat, f: f}, nil
	}
	return sc.integers(op, a.i, b.i)
}

func (sc *scope) integers(op string, x, y int64) (value, error) {
	switch op {
	case "+":
		return integer(x + y), nil
	case "-":
		return integer(x - y), nil
	case "*":
		return integer(x * y), nil
	case "//", "%":
		q := x / y
		if x%y != 0 && (x < 0) != (y < 0) {
			q-- // Python rounds down
		}
		if op == "%" {
			return integer(x - q*y), nil
		}
		return integer(q), nil
	case "**":
		return integer(int64(math.Pow(float64(x), float64(y)))), nil
	case "&":
		return integer(x & y), nil
	case "|":
		return integer(x | y), nil
	case "^":
		return integer(x ^ y), nil
	case "<<", ">>":
		if y < 0 || y > 62 {
			return value{}, sc.fault("shift by %d", y)
		}
		if op == "<<" {
			return integer(x << y), nil
		}
		return integer(x >> y), nil
	}
	return value{}, sc.fault("the operator %s", op)
}

// strings evaluates + and % of strings.
func (sc *scope) strings(op string, a, b value) (value, error) {
	switch {
	case op == "+" && a.kind == b.kind:
		return value{kind: vStr, s: a.s + b.s}, nil
	case op == "%" && a.kind == vStr:
		args := b.list
		if b.kind != vList {
			args = []value{b}
		}
		s := a.s
		for _, v := range args {
			i := strings.IndexByte(s, '%')
			if i < 0 || i+1 >= len(s) {
				break
			}
			s = s[:i] + strings.ReplaceAll(v.String(), "%", "\x00") + s[i+2:]
		}
		return value{kind: vStr, s: strings.ReplaceAll(s, "\x00", "%")}, nil
	}
	return value{}, sc.fault("%s of strings", op)
}

// builtin calls print, stat, drops, abs, min, max, len, int, float, round, str or hex.
func (sc *scope) builtin(name string, args []value) (value, error) {
	if name == "print" {
		var s []string
		for _, a := range args {
			s = append(s, a.String())
		}
		sc.r.res.Output = append(sc.r.res.Output, strings.Join(s, " "))
		return boolean(true), nil
	}
	if name == "stat" || name == "drops" {
		return sc.counter(name, args)
	}
	if (name == "min" || name == "max") && len(args) == 1 {
		args = args[0].list
	}
	if len(args) == 0 {
		return value{}, sc.fault("%s without arguments", name)
	}
	a := args[0]
	x, _ := a.number()
	switch name {
	case "abs":
		if a.kind == vFloat {
			return value{kind: vFloat, f: math.Abs(x)}, nil
		}
		return integer(max(a.i, -a.i)), nil
	case "min", "max":
		for _, b := range args[1:] {
			y, _ := b.number()
			z, _ := a.number()
			if (y < z) == (name == "min") && y != z {
				a = b
			}
		}
		return a, nil
	case "len":
		return integer(int64(len(a.list) + len(a.s))), nil
	case "int":
		if a.kind == vFloat {
			return integer(int64(x)), nil
		}
		return integer(a.i), nil
	case "float":
		return value{kind: vFloat, f: x}, nil
	case "round":
		return integer(int64(math.RoundToEven(x))), nil
	case "str":
		return value{kind: vStr, s: a.String()}, nil
	case "hex":
		return value{kind: vStr, s: fmt.Sprintf("%#x", a.i)}, nil
	}
	return value{}, unsupported(sc.line, "the function %s in code", name)
}

// String writes an expression as in the source.
func (n *node) String() string {
	switch {
	case n.op == "num":
		return n.v.String()
	case n.op == "str":
		return strconv.Quote(n.v.s)
	case n.op == "name":
		return n.name
	case n.op == "cmp":
		s := n.args[0].String()
		for i, op := range n.ops {
			s += " " + op + " " + n.args[i+1].String()
		}
		return s
	case n.op == "not":
		return "not " + n.args[0].String()
	case n.op == "if":
		return n.args[1].String() + " if " + n.args[0].String() + " else " + n.args[2].String()
	case strings.HasPrefix(n.op, "unary"):
		return n.op[len("unary"):] + n.args[0].String()
	case n.op == "list" || n.op == "call":
		var s []string
		for _, a := range n.args {
			s = append(s, a.String())
		}
		return n.name + "(" + strings.Join(s, ", ") + ")"
	}
	return "(" + n.args[0].String() + " " + n.op + " " + n.args[1].String() + ")"
}
