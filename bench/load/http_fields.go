package load

import "bytes"

// httpFields are the header fields that frame a message (RFC 9112 6, 9.3).
type httpFields struct {
	hasLength bool
	length    uint64
	chunked   bool // the last transfer coding is chunked
	coded     bool // there is any transfer coding
	close     bool // Connection: close
	keep      bool // Connection: keep-alive
}

// maxLength bounds a Content-Length.
const maxLength = 1 << 62

// parseFields reads header lines, each ending with CRLF. False: they are no
// header, or the lengths contradict each other (RFC 9112 6.3).
func parseFields(b []byte) (f httpFields, ok bool) {
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, crlf2[:2])
		if !whole {
			return f, false
		}
		b = rest
		name, value, hasColon := bytes.Cut(line, []byte(":"))
		if !hasColon || len(name) == 0 || name[len(name)-1] == ' ' {
			return f, false
		}
		value = bytes.TrimSpace(value)
		switch {
		case foldEqual(name, "content-length"):
			n, isNumber := parseDecimal(value, maxLength)
			if !isNumber || f.hasLength && n != f.length {
				return f, false
			}
			f.hasLength, f.length = true, n
		case foldEqual(name, "transfer-encoding"):
			f.coded = true
			f.chunked = hasToken(value, "chunked")
		case foldEqual(name, "connection"):
			f.close = f.close || hasToken(value, "close")
			f.keep = f.keep || hasToken(value, "keep-alive")
		}
	}
	return f, true
}

// hasToken looks for a token in a list that commas separate.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		if foldEqual(bytes.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// foldEqual compares with a lower-case ASCII string, case ignored.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// parseDecimal reads 1*DIGIT up to limit.
func parseDecimal(b []byte, limit uint64) (n uint64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' || n > limit/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(b) > 0 && n <= limit
}

// hexDigit is the value of a HEXDIG.
func hexDigit(c byte) (v byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
