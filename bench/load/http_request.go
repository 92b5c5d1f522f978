package load

import "bytes"

// httpRequest is the head of a request, as far as the server heeds it.
type httpRequest struct {
	get, head bool
	path      []byte // within the head
	close     bool   // close after the answer
}

// The answers without a body.
var (
	httpBadRequest = []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	httpBadMethod  = []byte("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	httpNotFound   = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
)

// parseRequest reads the head of a request, each line ending with CRLF
// (RFC 9112 3). False: it is none, or it has a body, which the server takes
// from nobody.
func parseRequest(head []byte) (q httpRequest, ok bool) {
	line, rest, _ := bytes.Cut(head, crlf2[:2])
	method, target, _ := bytes.Cut(line, []byte(" "))
	path, version, _ := bytes.Cut(target, []byte(" "))
	if len(path) == 0 || len(version) != 8 || string(version[:7]) != "HTTP/1." {
		return q, false
	}
	f, ok := parseFields(rest)
	if !ok || f.coded || f.length != 0 {
		return q, false
	}
	q.get, q.head, q.path = string(method) == "GET", string(method) == "HEAD", path
	// RFC 9112 9.3: HTTP/1.0 closes unless it asks not to.
	q.close = f.close || version[7] == '0' && !f.keep
	return q, true
}

// sizeBehind reads the number that follows prefix in a path.
func sizeBehind(path []byte, prefix string, limit uint64) (n uint64, ok bool) {
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return 0, false
	}
	return parseDecimal(path[len(prefix):], limit)
}
