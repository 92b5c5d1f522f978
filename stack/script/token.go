package script

import (
	"strconv"
	"strings"
)

// tokenKind is a class of words.
type tokenKind uint8

const (
	tokEOF    tokenKind = iota
	tokWord             // letters, digits, _
	tokInt              // decimal, may be negative
	tokHex              // 0x…
	tokFloat            // 1.5, .5
	tokAddr             // dotted IPv4 address
	tokString           // "…"
	tokShell            // `…`
	tokCode             // %{ … }%
	tokDots             // ...
	tokOption           // --name or --name=value
	tokPunct            // any other character
)

// token is one word of a script. text is without quotes and delimiters; num is
// the value of tokInt and tokHex.
type token struct {
	kind tokenKind
	text string
	num  int64
	line int
	pos  int // where it starts in the source
	end  int
}

// scanner cuts a script into tokens, the longest possible each time, as
// packetdrill's own scanner does.
type scanner struct {
	src  string
	pos  int
	line int
	out  []token
}

// scan cuts all of src.
func scan(src string) ([]token, error) {
	s := &scanner{src: src, line: 1}
	for {
		if err := s.skip(); err != nil {
			return nil, err
		}
		if s.pos >= len(s.src) {
			s.out = append(s.out, token{kind: tokEOF, line: s.line, pos: s.pos, end: s.pos})
			return s.out, nil
		}
		if err := s.next(); err != nil {
			return nil, err
		}
	}
}

// skip passes over white space and comments.
func (s *scanner) skip() error {
	for s.pos < len(s.src) {
		switch rest := s.src[s.pos:]; {
		case rest[0] == '\n':
			s.line++
			s.pos++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			s.pos++
		case strings.HasPrefix(rest, "//"):
			if i := strings.IndexByte(rest, '\n'); i >= 0 {
				s.pos += i
			} else {
				s.pos = len(s.src)
			}
		case strings.HasPrefix(rest, "/*"):
			i := strings.Index(rest[2:], "*/")
			if i < 0 {
				return syntax(s.line, "comment without end")
			}
			s.advance(i + 4)
		default:
			return nil
		}
	}
	return nil
}

// advance goes on by n bytes, counting lines.
func (s *scanner) advance(n int) {
	s.line += strings.Count(s.src[s.pos:s.pos+n], "\n")
	s.pos += n
}

// emit makes a token of the next n bytes.
func (s *scanner) emit(kind tokenKind, n int, text string, num int64) {
	s.out = append(s.out, token{kind: kind, text: text, num: num, line: s.line, pos: s.pos, end: s.pos + n})
	s.advance(n)
}

// next cuts the token at pos.
func (s *scanner) next() error {
	rest := s.src[s.pos:]
	switch {
	case strings.HasPrefix(rest, "%{"):
		i := strings.Index(rest, "}%")
		if i < 0 {
			return syntax(s.line, "%%{ without }%%")
		}
		s.emit(tokCode, i+2, strings.Trim(rest[2:i], " \t"), 0)
		return nil
	case rest[0] == '"' || rest[0] == '`':
		return s.quoted(rest[0])
	case strings.HasPrefix(rest, "..."):
		s.emit(tokDots, 3, "...", 0)
		return nil
	case strings.HasPrefix(rest, "--") && len(rest) > 2 && isWord(rest[2]):
		s.option(rest)
		return nil
	}
	return s.number(rest)
}

// quoted cuts a string in double or back quotes.
func (s *scanner) quoted(q byte) error {
	rest := s.src[s.pos:]
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == q:
			kind := tokString
			if q == '`' {
				kind = tokShell
			}
			s.emit(kind, i+1, b.String(), 0)
			return nil
		case c == '\\' && i+1 < len(rest):
			i++
			if v, err := strconv.ParseUint(rest[i+1:min(i+3, len(rest))], 16, 8); q == '"' && rest[i] == 'x' && err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
			if q == '`' && rest[i] != '`' {
				b.WriteByte('\\')
			}
			b.WriteByte(unescape(rest[i], q))
		default:
			b.WriteByte(c)
		}
	}
	return syntax(s.line, "%c without its end", q)
}

// unescape is the character that a backslash and c stand for.
func unescape(c, q byte) byte {
	if q == '"' {
		switch c {
		case 'n':
			return '\n'
		case 't':
			return '\t'
		case 'r':
			return '\r'
		case '0':
			return 0
		}
	}
	return c
}

// option cuts --name or --name=value; a value in quotes may hold spaces.
func (s *scanner) option(rest string) {
	n, quote := 2, byte(0)
	for ; n < len(rest); n++ {
		c := rest[n]
		if quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			break
		}
		if c == '"' || c == '`' {
			switch quote {
			case 0:
				quote = c
			case c:
				quote = 0
			}
		}
	}
	s.emit(tokOption, n, rest[2:n], 0)
}

// number cuts numbers, addresses and words, the longest that fits; else one
// character.
func (s *scanner) number(rest string) error {
	word := span(rest, isWord)
	sign := 0
	if rest[0] == '-' {
		sign = 1
	}
	digits := span(rest[sign:], isDigit)
	if n := dotted(rest); n > 0 {
		s.emit(tokAddr, n, rest[:n], 0)
		return nil
	}
	if n := sign + digits; n < len(rest) && rest[n] == '.' {
		if frac := span(rest[n+1:], isDigit); frac > 0 && n+1+frac > word {
			s.emit(tokFloat, n+1+frac, rest[:n+1+frac], 0)
			return nil
		}
	}
	if n := sign + digits; digits > 0 && n >= word {
		v, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil {
			return syntax(s.line, "number %s is too large", rest[:n])
		}
		s.emit(tokInt, n, rest[:n], v)
		return nil
	}
	if word > 2 && (strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X")) {
		if v, err := strconv.ParseUint(rest[2:word], 16, 64); err == nil {
			s.emit(tokHex, word, rest[:word], int64(v))
			return nil
		}
	}
	if word > 0 {
		s.emit(tokWord, word, rest[:word], 0)
		return nil
	}
	s.emit(tokPunct, 1, rest[:1], 0)
	return nil
}

// dotted is the length of a dotted address at the start of s, or 0.
func dotted(s string) int {
	n := 0
	for i := range 4 {
		if i > 0 {
			if n >= len(s) || s[n] != '.' {
				return 0
			}
			n++
		}
		d := span(s[n:], isDigit)
		if d == 0 {
			return 0
		}
		n += d
	}
	return n
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
