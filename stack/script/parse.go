package script

import (
	"errors"
	"strconv"
	"strings"
)

// maxScript bounds a script in bytes.
const maxScript = 4 << 20

// maxDepth bounds how deep arguments may nest.
const maxDepth = 32

// parser reads tokens.
type parser struct {
	src     string
	toks    []token
	i       int
	defines map[string]token
	s       *Script
}

// Parse reads a script; name is for messages. defines are symbols that it may
// use, as by lines --define=NAME=VALUE. Errors are of type *Error and match
// ErrSyntax or ErrUnsupported.
func Parse(name string, src []byte, defines ...string) (*Script, error) {
	s, err := parse(name, string(src), defines)
	var e *Error
	if errors.As(err, &e) {
		e.File = name
	}
	return s, err
}

func parse(name, src string, defines []string) (*Script, error) {
	if len(src) > maxScript {
		return nil, syntax(0, "longer than %d bytes", maxScript)
	}
	toks, err := scan(src)
	if err != nil {
		return nil, err
	}
	p := &parser{src: src, toks: toks, defines: map[string]token{}, s: &Script{Name: name}}
	for _, d := range defines {
		if err := p.define(d, 0); err != nil {
			return nil, err
		}
	}
	if err := p.options(); err != nil {
		return nil, err
	}
	for p.peek().kind != tokEOF {
		if err := p.top(); err != nil {
			return nil, err
		}
	}
	if len(p.s.Events) == 0 {
		return nil, syntax(p.peek().line, "no events")
	}
	return p.s, nil
}

// peek is the next token, with words that --define names replaced.
func (p *parser) peek() token { return p.peekAt(0) }

func (p *parser) peekAt(n int) token {
	t := p.toks[min(p.i+n, len(p.toks)-1)]
	if t.kind == tokWord {
		if d, ok := p.defines[t.text]; ok {
			d.line, d.pos, d.end = t.line, t.pos, t.end
			return d
		}
	}
	return t
}

func (p *parser) next() token {
	t := p.peek()
	if p.i < len(p.toks)-1 {
		p.i++
	}
	return t
}

// is reports whether the next token is that character or word.
func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == tokPunct || t.kind == tokWord) && t.text == text
}

// accept takes the next token if it is that character or word.
func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.unexpected("want " + text)
	}
	return nil
}

func (p *parser) unexpected(why string) error {
	t := p.peek()
	if t.kind == tokEOF {
		return syntax(t.line, "the script ends: %s", why)
	}
	return syntax(t.line, "unexpected %q: %s", shorten(p.src[t.pos:t.end], 40), why)
}

func shorten(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// uint takes a number in 0 … limit.
func (p *parser) uint(what string, limit int64) (int64, error) {
	t := p.peek()
	if t.kind != tokInt && t.kind != tokHex {
		return 0, p.unexpected("want " + what)
	}
	if t.num < 0 || t.num > limit {
		return 0, syntax(t.line, "%s %d outside 0 … %d", what, t.num, limit)
	}
	p.next()
	return t.num, nil
}

// options reads the --name=value lines at the start.
func (p *parser) options() error {
	for p.peek().kind == tokOption {
		t := p.next()
		name, value, _ := strings.Cut(t.text, "=")
		if name == "define" {
			if err := p.define(value, t.line); err != nil {
				return err
			}
			continue
		}
		value = strings.Trim(value, `"`)
		p.s.Options = append(p.s.Options, Option{Name: name, Value: value, Line: t.line})
	}
	return nil
}

// define notes NAME=VALUE.
func (p *parser) define(text string, line int) error {
	sym, val, ok := strings.Cut(text, "=")
	if !ok {
		return syntax(line, "--define needs NAME=VALUE")
	}
	toks, err := scan(val)
	if err != nil || len(toks) != 2 {
		return syntax(line, "--define: %q is not one word, number or string", val)
	}
	p.defines[sym] = toks[0]
	return nil
}

// top reads an event, or a command line outside of time.
func (p *parser) top() error {
	t := p.peek()
	if t.kind == tokShell {
		p.next()
		c := Command{Text: t.text, Line: t.line}
		if len(p.s.Events) == 0 {
			p.s.Init = append(p.s.Init, c)
		} else {
			p.s.Cleanup = append(p.s.Cleanup, c)
		}
		return nil
	}
	if len(p.s.Cleanup) != 0 {
		return p.unexpected("nothing may follow the command line at the end")
	}
	return p.event()
}

// event reads a time and what happens then.
func (p *parser) event() error {
	first := p.peek()
	e := Event{Line: first.line}
	if err := p.when(&e.When); err != nil {
		return err
	}
	t := p.peek()
	var err error
	switch {
	case t.kind == tokShell:
		p.next()
		e.Command = &Command{Text: t.text, Line: t.line}
	case t.kind == tokCode:
		p.next()
		e.Code = &Code{Line: t.line, Text: t.text}
		e.Code.prog, err = parseCode(t.text, t.line)
	case t.kind == tokPunct && (t.text == "<" || t.text == ">"):
		e.Packet, err = p.packet()
	default:
		e.Call, err = p.call()
	}
	if err != nil {
		return err
	}
	last := p.toks[p.i-1]
	e.Text = strings.Join(strings.Fields(p.src[first.pos:last.end]), " ")
	if len(p.s.Events) == 0 && e.When != (When{}) && (e.When.kind != timeRelative || e.When.start != 0) {
		return syntax(e.Line, "the first event must be at time 0")
	}
	if k := e.When.kind; k != timeAbsolute && k != timeRelative && (e.Packet == nil || e.Packet.Inbound) {
		return syntax(e.Line, "* and ranges of time are for packets that are expected (>)")
	}
	p.s.Events = append(p.s.Events, e)
	return nil
}

// when reads the time of an event.
func (p *parser) when(w *When) (err error) {
	if p.accept("*") {
		w.kind = timeAny
		return nil
	}
	plus := p.accept("+")
	if plus {
		w.kind = timeRelative
	}
	if w.start, err = p.duration(); err != nil {
		return err
	}
	if !p.accept("~") {
		return nil
	}
	w.kind = timeAbsoluteRange
	if plus {
		w.kind = timeRelativeRange
		if err := p.expect("+"); err != nil {
			return err
		}
	}
	if w.end, err = p.duration(); err != nil {
		return err
	}
	if w.end < w.start {
		return syntax(p.peek().line, "the range of time ends before it starts")
	}
	return nil
}

// maxTime bounds times, in seconds: about 31 years.
const maxTime = 1e9

// duration reads seconds and gives nanoseconds.
func (p *parser) duration() (int64, error) {
	t := p.peek()
	if t.kind != tokInt && t.kind != tokFloat {
		return 0, p.unexpected("want a time")
	}
	v, err := strconv.ParseFloat(t.text, 64)
	if err != nil || v < 0 || v > maxTime {
		return 0, syntax(t.line, "time %s is negative or too large", t.text)
	}
	p.next()
	return int64(v*1e6+0.5) * 1000, nil
}
