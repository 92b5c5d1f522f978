package script

import "strings"

// call reads "name(arguments) = result ERRNO (note)", with "...END" in front if
// it blocks.
func (p *parser) call() (c *Call, err error) {
	c = &Call{}
	if p.peek().kind == tokDots {
		p.next()
		c.Blocks = true
		if c.End, err = p.duration(); err != nil {
			return nil, err
		}
	}
	t := p.peek()
	if t.kind != tokWord {
		return nil, p.unexpected("want a packet (< or >), a system call, `command` or %{ code }%")
	}
	p.next()
	c.Name, c.Line = t.text, t.line
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if c.Args, err = p.list(")", 0); err != nil {
		return nil, err
	}
	if err := p.expect("="); err != nil {
		return nil, err
	}
	if c.Result, err = p.expr(0); err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind == tokWord && isErrno(t.text) {
		c.Errno = t.text
		p.next()
	}
	if p.accept("(") {
		c.HasNote = true
		for !p.accept(")") {
			if p.peek().kind == tokEOF {
				return nil, p.unexpected("want )")
			}
			p.next()
		}
	}
	return c, nil
}

func isErrno(s string) bool {
	return len(s) > 2 && s[0] == 'E' && s == strings.ToUpper(s)
}

// list reads expressions up to the closing character.
func (p *parser) list(closing string, depth int) (out []*Expr, err error) {
	if p.accept(closing) {
		return nil, nil
	}
	for {
		e, err := p.expr(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.accept(closing) {
			return out, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// expr reads an argument: terms joined by |.
func (p *parser) expr(depth int) (*Expr, error) {
	if depth > maxDepth {
		return nil, p.unexpected("nested too deep")
	}
	e, err := p.term(depth)
	if err != nil {
		return nil, err
	}
	for p.accept("|") {
		r, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		e = &Expr{kind: exprOr, Args: []*Expr{e, r}}
	}
	return e, nil
}

func (p *parser) term(depth int) (e *Expr, err error) {
	switch t := p.peek(); {
	case t.kind == tokDots:
		p.next()
		return &Expr{kind: exprDots}, nil
	case t.kind == tokInt || t.kind == tokHex:
		p.next()
		return &Expr{kind: exprInt, Int: t.num}, nil
	case t.kind == tokString:
		e = &Expr{kind: exprString}
		for p.peek().kind == tokString {
			e.Str += p.next().text
		}
		if p.peek().kind == tokDots { // "GET "...: the rest does not matter
			p.next()
		}
		return e, nil
	case t.kind == tokWord:
		p.next()
		return p.word(t.text, depth)
	case p.accept("["):
		e = &Expr{kind: exprList}
		e.Args, err = p.list("]", depth)
		return e, err
	case p.accept("{"):
		e = &Expr{kind: exprStruct}
		e.Args, err = p.list("}", depth)
		return e, err
	}
	return nil, p.unexpected("want an argument")
}

// word reads what follows a word: it is a symbol, a call as in htons(8080), or
// the name of a member: sin_port = …, msg_iov(1)=….
func (p *parser) word(name string, depth int) (e *Expr, err error) {
	e = &Expr{kind: exprWord, Str: name}
	if p.accept("(") {
		e.kind = exprCall
		if e.Args, err = p.list(")", depth); err != nil {
			return nil, err
		}
	}
	if depth > 0 && p.accept("=") {
		v, err := p.expr(depth + 1)
		if err != nil {
			return nil, err
		}
		return &Expr{kind: exprAssign, Str: name, Args: []*Expr{v}}, nil
	}
	return e, nil
}

// member is the value of a member of a struct; nil if it is not there.
func (e *Expr) member(name string) *Expr {
	for _, a := range e.Args {
		if a.kind == exprAssign && a.Str == name {
			return a.Args[0]
		}
	}
	return nil
}
