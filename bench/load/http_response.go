package load

import (
	"bytes"
	"errors"
)

// ErrHTTP says that a message is not HTTP/1.x, or ends early.
var ErrHTTP = errors.New("load: bad HTTP message")

// maxHead bounds the head of a message, in bytes.
const maxHead = 16 << 10

var crlf2 = []byte("\r\n\r\n")

// httpState is where the parser of an answer stands.
type httpState uint8

const (
	httpHead    httpState = iota
	httpBody              // left bytes of a body of known length
	httpToEOF             // a body that ends with the connection (RFC 9112 6.3)
	httpSize              // the hex digits of a chunk's size (RFC 9112 7.1)
	httpExt               // the rest of that line
	httpChunk             // left bytes of a chunk
	httpTail              // the CRLF behind a chunk
	httpTrailer           // trailer lines up to an empty one
)

// httpResponse parses answers, one after the other, from pieces of any size.
// The zero value waits for the first.
type httpResponse struct {
	state httpState
	code  int    // of the answer in work, or of the last
	close bool   // the server closes after it
	left  uint64 // bytes of the body or chunk to come
	line  int    // bytes of the line in work
	buf   []byte // a head that came in pieces
}

// reset waits for the first answer of a connection; the buffer is kept.
func (r *httpResponse) reset() { *r = httpResponse{buf: r.buf[:0]} }

// idle reports whether no byte of an answer has come.
func (r *httpResponse) idle() bool { return r.state == httpHead && len(r.buf) == 0 }

// feed takes bytes up to the end of the answer in work and returns how many it
// took, and whether the answer is complete. Not all of b is taken only when
// the answer is complete.
func (r *httpResponse) feed(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		switch r.state {
		case httpHead:
			k, whole, err := r.takeHead(b[n:])
			n += k
			if err != nil || !whole {
				return n, false, err
			}
			if r.code/100 == 1 { // interim (RFC 9110 15.2): the answer is to come
				r.state = httpHead
				continue
			}
			done = r.state == httpBody && r.left == 0
		case httpToEOF:
			return len(b), false, nil
		case httpBody, httpChunk:
			k := min(r.left, uint64(len(b)-n))
			r.left -= k
			n += int(k)
			if r.left != 0 {
				break
			}
			done = r.state == httpBody
			r.state = httpTail
		default:
			if done, err = r.chunkByte(b[n]); err != nil {
				return n, false, err
			}
			n++
		}
		if done {
			r.state = httpHead
			return n, true, nil
		}
	}
	return n, false, nil
}

// eof is the end of the connection; it reports whether that completes the
// answer in work.
func (r *httpResponse) eof() bool {
	done := r.state == httpToEOF
	r.state = httpHead
	return done
}

// takeHead collects the head. A head that lies in one piece is not copied.
func (r *httpResponse) takeHead(b []byte) (n int, whole bool, err error) {
	if len(r.buf) == 0 {
		if i := bytes.Index(b, crlf2); i >= 0 && i <= maxHead {
			return i + 4, true, r.parseHead(b[:i+2])
		}
	}
	was := len(r.buf)
	r.buf = append(r.buf, b[:min(len(b), maxHead-was)]...)
	from := max(0, was-3)
	i := bytes.Index(r.buf[from:], crlf2)
	if i < 0 {
		if len(r.buf) == maxHead {
			return 0, false, ErrHTTP
		}
		return len(b), false, nil
	}
	end := from + i + 4
	err = r.parseHead(r.buf[:end-2])
	r.buf = r.buf[:0]
	return end - was, true, err
}

// parseHead takes the status line and the header lines that say how long the
// body is (RFC 9112 4, 6.3). head ends with CRLF.
func (r *httpResponse) parseHead(head []byte) error {
	line, rest, _ := bytes.Cut(head, crlf2[:2])
	// HTTP/1.x SP 3DIGIT [SP reason]
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return ErrHTTP
	}
	code, ok := parseDecimal(line[9:12], 999)
	if !ok || code < 100 {
		return ErrHTTP
	}
	r.code, r.close, r.left = int(code), line[7] == '0', 0
	f, ok := parseFields(rest)
	if !ok {
		return ErrHTTP
	}
	r.close = f.close || r.close && !f.keep
	switch {
	case r.code/100 == 1 || r.code == 204 || r.code == 304:
		r.state = httpBody
	case f.chunked:
		r.state, r.line = httpSize, 0
	case f.hasLength:
		r.state, r.left = httpBody, f.length
	default:
		r.state, r.close = httpToEOF, true
	}
	return nil
}

// chunkByte is the chunked coding but for the data (RFC 9112 7.1).
func (r *httpResponse) chunkByte(c byte) (done bool, err error) {
	switch r.state {
	case httpSize:
		d, ok := hexDigit(c)
		switch {
		case ok && r.line < 15:
			r.left = r.left<<4 | uint64(d)
			r.line++
		case r.line > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t'):
			r.state = httpExt
		default:
			return false, ErrHTTP
		}
	case httpExt:
		switch {
		case c != '\n':
			if r.line++; r.line > maxHead {
				return false, ErrHTTP
			}
		case r.left == 0:
			r.state, r.line = httpTrailer, 0
		default:
			r.state = httpChunk
		}
	case httpTail: // CR, LF
		if c == '\n' {
			r.state, r.line = httpSize, 0
		} else if c != '\r' {
			return false, ErrHTTP
		}
	case httpTrailer:
		switch c {
		case '\r':
		case '\n':
			done, r.line = r.line == 0, 0
		default:
			if r.line++; r.line > maxHead {
				return false, ErrHTTP
			}
		}
	}
	return done, nil
}
