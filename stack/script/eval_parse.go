package script

import (
	"strconv"
	"strings"
)

// stmt is a statement of a code snippet: a small part of Python.
type stmt struct {
	line int
	kind stmtKind
	name string // assigned
	op   string // +=: "+"
	x    *node  // condition, value or expression
	msg  *node  // of assert
	body []*stmt
}

type stmtKind uint8

const (
	stmtExpr stmtKind = iota
	stmtAssert
	stmtAssign
	stmtIf
	stmtPass
)

// node is an expression: op is the operator, "num", "str", "name", "call",
// "list", "cmp" or "index".
type node struct {
	op   string
	v    value
	name string
	args []*node
	ops  []string // of a chain of comparisons
}

// codeParser reads a snippet. Tokens are cut as they are needed.
type codeParser struct {
	src   string
	line  int
	depth int
	tok   string
	kind  byte // 'n'umber, 'w'ord, 's'tring, 'o'perator, ';' end of a statement, 0 end
}

// parseCode reads all statements of a snippet that starts at a line.
func parseCode(src string, line int) ([]*stmt, error) {
	p := &codeParser{src: strings.ReplaceAll(src, "\\\n", " "), line: line}
	if err := p.next(); err != nil {
		return nil, err
	}
	var out []*stmt
	for {
		for p.kind == ';' {
			if err := p.next(); err != nil {
				return nil, err
			}
		}
		if p.kind == 0 {
			return out, nil
		}
		s, err := p.stmt()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		if p.kind != ';' && p.kind != 0 {
			return nil, p.bad("want the end of the statement")
		}
	}
}

func (p *codeParser) bad(why string) error {
	tok := p.tok
	if p.kind == 0 {
		tok = "}%"
	}
	return syntax(p.line, "code: unexpected %q: %s", tok, why)
}

// operators, the longest first.
var operators = []string{"**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=",
	"%=", "|=", "&=", "^=", "+", "-", "*", "/", "%", "<", ">", "=", "(", ")", "[", "]", ",", ":", "&", "|", "^", "~", "."}

// next cuts the next token. A newline ends a statement unless it is in
// brackets.
func (p *codeParser) next() error {
	for p.src != "" && (p.src[0] == ' ' || p.src[0] == '\t' || p.src[0] == '\r' || p.src[0] == '#' || p.src[0] == '\n' && p.depth > 0) {
		n := 1
		if p.src[0] == '#' {
			if n = strings.IndexByte(p.src, '\n'); n < 0 {
				n = len(p.src)
			}
		} else if p.src[0] == '\n' {
			p.line++
		}
		p.src = p.src[n:]
	}
	if p.src == "" {
		p.kind, p.tok = 0, ""
		return nil
	}
	c := p.src[0]
	switch {
	case c == '\n' || c == ';':
		if c == '\n' {
			p.line++
		}
		p.take(';', 1)
	case isDigit(c) || c == '.' && len(p.src) > 1 && isDigit(p.src[1]):
		n := span(p.src, func(c byte) bool { return isWord(c) || c == '.' })
		p.take('n', n)
	case isWord(c):
		p.take('w', span(p.src, isWord))
	case c == '"' || c == '\'':
		n := strings.IndexByte(p.src[1:], c)
		if n < 0 {
			return syntax(p.line, "code: string without its end")
		}
		p.take('s', n+2)
	default:
		for _, op := range operators {
			if strings.HasPrefix(p.src, op) {
				p.take('o', len(op))
				return nil
			}
		}
		return syntax(p.line, "code: unexpected %q", p.src[:1])
	}
	return nil
}

func (p *codeParser) take(kind byte, n int) {
	p.kind, p.tok, p.src = kind, p.src[:n], p.src[n:]
	if kind == 'o' {
		switch p.tok {
		case "(", "[":
			p.depth++
		case ")", "]":
			p.depth--
		}
	}
}

// accept takes an operator or keyword.
func (p *codeParser) accept(tok string) (bool, error) {
	if p.tok != tok || p.kind != 'o' && p.kind != 'w' {
		return false, nil
	}
	return true, p.next()
}

func (p *codeParser) expect(tok string) error {
	is, err := p.accept(tok)
	if err == nil && !is {
		err = p.bad("want " + tok)
	}
	return err
}

func (p *codeParser) stmt() (s *stmt, err error) {
	s = &stmt{line: p.line}
	for _, word := range []string{"import", "from", "for", "while", "def", "class", "with", "try", "lambda"} {
		if p.kind == 'w' && p.tok == word {
			return nil, unsupported(p.line, "%s in code: only assert, assignments, if, print and expressions", word)
		}
	}
	if is, err := p.accept("pass"); is || err != nil {
		s.kind = stmtPass
		return s, err
	}
	if is, err := p.accept("assert"); err != nil {
		return nil, err
	} else if is {
		s.kind = stmtAssert
		if s.x, err = p.expr(0); err != nil {
			return nil, err
		}
		if is, err := p.accept(","); err != nil || !is {
			return s, err
		}
		s.msg, err = p.expr(0)
		return s, err
	}
	if is, err := p.accept("if"); err != nil {
		return nil, err
	} else if is {
		return s, p.ifStmt(s)
	}
	if s.x, err = p.expr(0); err != nil {
		return nil, err
	}
	if p.kind != 'o' || !strings.HasSuffix(p.tok, "=") || s.x.op != "name" {
		return s, nil
	}
	s.kind, s.name, s.op = stmtAssign, s.x.name, strings.TrimSuffix(p.tok, "=")
	if err := p.next(); err != nil {
		return nil, err
	}
	s.x, err = p.expr(0)
	return s, err
}

// ifStmt reads "CONDITION: STATEMENT", all on a line.
func (p *codeParser) ifStmt(s *stmt) (err error) {
	s.kind = stmtIf
	if s.x, err = p.expr(0); err != nil {
		return err
	}
	if err := p.expect(":"); err != nil {
		return err
	}
	body, err := p.stmt()
	s.body = []*stmt{body}
	return err
}

// maxCode bounds how deep expressions nest.
const maxCode = 64

// expr reads an expression: a conditional one at the top.
func (p *codeParser) expr(depth int) (*node, error) {
	if depth > maxCode {
		return nil, p.bad("nested too deep")
	}
	x, err := p.binary(0, depth)
	if err != nil {
		return nil, err
	}
	is, err := p.accept("if")
	if err != nil || !is {
		return x, err
	}
	cond, err := p.binary(0, depth)
	if err != nil {
		return nil, err
	}
	if err := p.expect("else"); err != nil {
		return nil, err
	}
	alt, err := p.expr(depth + 1)
	return &node{op: "if", args: []*node{cond, x, alt}}, err
}

// levels of precedence, the loosest first; "not" and comparisons have their own
// rules.
var levels = [][]string{{"or"}, {"and"}, {"not"}, {"cmp"}, {"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%"}}

func (p *codeParser) binary(level, depth int) (*node, error) {
	if level == len(levels) {
		return p.unary(depth)
	}
	switch levels[level][0] {
	case "not":
		if is, err := p.accept("not"); err != nil {
			return nil, err
		} else if is {
			if depth > maxCode {
				return nil, p.bad("nested too deep")
			}
			x, err := p.binary(level, depth+1)
			return &node{op: "not", args: []*node{x}}, err
		}
		return p.binary(level+1, depth)
	case "cmp":
		return p.comparison(level, depth)
	}
	x, err := p.binary(level+1, depth)
	for err == nil {
		op := ""
		for _, o := range levels[level] {
			if p.tok == o && (p.kind == 'o' || p.kind == 'w') {
				op = o
			}
		}
		if op == "" {
			break
		}
		if err = p.next(); err != nil {
			break
		}
		var y *node
		y, err = p.binary(level+1, depth)
		x = &node{op: op, args: []*node{x, y}}
	}
	return x, err
}

// comparison reads a chain: 1 <= x < 5, x in (1, 2), x not in […].
func (p *codeParser) comparison(level, depth int) (*node, error) {
	x, err := p.binary(level+1, depth)
	if err != nil {
		return nil, err
	}
	n := &node{op: "cmp", args: []*node{x}}
	for {
		op := ""
		switch p.tok {
		case "<", ">", "<=", ">=", "==", "!=", "in", "is":
			op = p.tok
		case "not":
			op = "not in"
		}
		if op == "" || p.kind != 'o' && p.kind != 'w' {
			break
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		if op == "not in" {
			if err := p.expect("in"); err != nil {
				return nil, err
			}
		}
		y, err := p.binary(level+1, depth)
		if err != nil {
			return nil, err
		}
		n.ops, n.args = append(n.ops, op), append(n.args, y)
	}
	if len(n.ops) == 0 {
		return x, nil
	}
	return n, nil
}

func (p *codeParser) unary(depth int) (*node, error) {
	if depth > maxCode {
		return nil, p.bad("nested too deep")
	}
	for _, op := range []string{"-", "+", "~"} {
		if is, err := p.accept(op); err != nil {
			return nil, err
		} else if is {
			x, err := p.unary(depth + 1)
			return &node{op: "unary" + op, args: []*node{x}}, err
		}
	}
	x, err := p.primary(depth)
	if err != nil || p.tok != "**" {
		return x, err
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	y, err := p.unary(depth + 1)
	return &node{op: "**", args: []*node{x, y}}, err
}

func (p *codeParser) primary(depth int) (*node, error) {
	tok := p.tok
	switch {
	case p.kind == 'n':
		v, err := strconv.ParseInt(tok, 0, 64)
		n := &node{op: "num", v: value{kind: vInt, i: v}}
		if err != nil {
			f, err := strconv.ParseFloat(tok, 64)
			if err != nil {
				return nil, p.bad("not a number")
			}
			n.v = value{kind: vFloat, f: f}
		}
		return n, p.next()
	case p.kind == 's':
		return &node{op: "str", v: value{kind: vStr, s: tok[1 : len(tok)-1]}}, p.next()
	case p.kind == 'w':
		if err := p.next(); err != nil {
			return nil, err
		}
		if p.tok == "(" && p.kind == 'o' {
			n := &node{op: "call", name: tok}
			var err error
			n.args, _, err = p.items(")", depth)
			return n, err
		}
		return &node{op: "name", name: tok}, nil
	case tok == "(":
		items, comma, err := p.items(")", depth)
		if err != nil {
			return nil, err
		}
		if len(items) == 1 && !comma {
			return items[0], nil
		}
		return &node{op: "list", args: items}, nil
	case tok == "[":
		items, _, err := p.items("]", depth)
		return &node{op: "list", args: items}, err
	}
	return nil, p.bad("want a value")
}

// items reads expressions between brackets, of which the first is the token at
// hand; comma: there was one.
func (p *codeParser) items(closing string, depth int) (out []*node, comma bool, err error) {
	if err := p.next(); err != nil {
		return nil, false, err
	}
	for {
		if is, err := p.accept(closing); is || err != nil {
			return out, comma, err
		}
		x, err := p.expr(depth + 1)
		if err != nil {
			return nil, false, err
		}
		out = append(out, x)
		is, err := p.accept(",")
		if err != nil {
			return nil, false, err
		}
		if comma = comma || is; !is {
			return out, comma, p.expect(closing)
		}
	}
}
