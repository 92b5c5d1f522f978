package load

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// feedAll parses text in pieces of n bytes and gives the codes of the answers.
func feedAll(t testing.TB, text string, n int) (codes []int, closes bool, err error) {
	t.Helper()
	var r httpResponse
	for b := []byte(text); len(b) > 0; {
		piece := b[:min(n, len(b))]
		b = b[len(piece):]
		for len(piece) > 0 {
			k, done, err := r.feed(piece)
			if err != nil {
				return codes, r.close, err
			}
			require.True(t, done || k == len(piece), "feed stopped within an answer")
			piece = piece[k:]
			if done {
				codes = append(codes, r.code)
			}
		}
	}
	if !r.idle() && r.eof() {
		codes = append(codes, r.code)
	}
	return codes, r.close, nil
}

func TestHTTPResponses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		codes      []int
		closes     bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", []int{200}, false},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", []int{200}, false},
		{"two", strings.Repeat("HTTP/1.1 200 OK\r\ncontent-length:\t2 \r\n\r\nhi", 2), []int{200, 200}, false},
		{"RFC 9112 7.1 chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1A;x=\"y\"\r\n" +
			strings.Repeat("z", 26) + "\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", []int{200, 404}, false},
		{"RFC 9112 6.3 coding beats length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", []int{200}, false},
		{"RFC 9112 6.3 until the end", "HTTP/1.1 200 OK\r\n\r\nall the rest\r\n\r\n", []int{200}, true},
		{"RFC 9112 6.3 no body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", []int{304, 204}, false},
		{"RFC 9110 15.2 interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", []int{200}, false},
		{"RFC 9112 9.6 close", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n", []int{200}, true},
		{"RFC 9112 9.3 HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", []int{200}, true},
		{"RFC 9112 9.3 HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", []int{200}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; n <= len(c.text); n++ {
				codes, closes, err := feedAll(t, c.text, n)
				require.NoError(t, err)
				require.Equal(t, c.codes, codes, "pieces of %d", n)
				require.Equal(t, c.closes, closes)
			}
		})
	}
}

func TestHTTPResponsesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"other protocol":    "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
		"version":           "HTTP/2.0 200 OK\r\n\r\n",
		"status":            "HTTP/1.1 2x0 OK\r\n\r\n",
		"status of two":     "HTTP/1.1 20\r\n\r\n",
		"status below 100":  "HTTP/1.1 099 X\r\n\r\n",
		"no colon":          "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
		"blank before":      "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
		"negative length":   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"enormous length":   "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"chunk size":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"chunk size absent": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"chunk too large":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef0\r\n",
		"chunk not ended":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
		"endless head":      "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead),
		"endless extension": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 2*maxHead),
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 7, len(text)} {
				_, _, err := feedAll(t, text, n)
				require.ErrorIs(t, err, ErrHTTP)
			}
		})
	}
}

func TestHTTPResponseEndsEarly(t *testing.T) {
	var r httpResponse
	_, done, err := r.feed([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"))
	require.NoError(t, err)
	require.False(t, done)
	require.False(t, r.eof())
}

func TestHTTPRequests(t *testing.T) {
	for _, c := range []struct {
		head string
		want httpRequest
		ok   bool
	}{
		{"GET / HTTP/1.1\r\nHost: x\r\n", httpRequest{get: true, path: []byte("/")}, true},
		{"HEAD /a HTTP/1.1\r\n", httpRequest{head: true, path: []byte("/a")}, true},
		{"PUT /a HTTP/1.1\r\nContent-Length: 0\r\n", httpRequest{path: []byte("/a")}, true},
		{"GET / HTTP/1.0\r\n", httpRequest{get: true, path: []byte("/"), close: true}, true},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", httpRequest{get: true, path: []byte("/")}, true},
		{"GET / HTTP/1.1\r\nConnection: close\r\n", httpRequest{get: true, path: []byte("/"), close: true}, true},
		{"GET /\r\n", httpRequest{}, false},
		{"GET  HTTP/1.1\r\n", httpRequest{}, false},
		{"GET / SPDY/1.0\r\n", httpRequest{}, false},
		{"POST / HTTP/1.1\r\nContent-Length: 4\r\n", httpRequest{}, false},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", httpRequest{}, false},
		{"\r\n", httpRequest{}, false},
		{"", httpRequest{}, false},
	} {
		q, ok := parseRequest([]byte(c.head))
		require.Equal(t, c.ok, ok, "%q", c.head)
		if ok {
			require.Equal(t, c.want, q, "%q", c.head)
		}
	}
	n, ok := sizeBehind([]byte("/bytes/1024"), "/bytes/", 2000)
	require.True(t, ok)
	require.Equal(t, uint64(1024), n)
	for _, bad := range []string{"/bytes/2001", "/bytes/", "/bytes/1x", "/byte", "/bytes/18446744073709551617"} {
		_, ok = sizeBehind([]byte(bad), "/bytes/", 2000)
		require.False(t, ok, bad)
	}
}

// FuzzHTTPResponse: no input makes the parser panic, stand still, or come to
// another result because of where the input is cut.
func FuzzHTTPResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 X\r\n\r\n"), uint8(3))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nT: x\r\n\r\n"), uint8(1))
	f.Add([]byte("HTTP/1.0 200 OK\r\n\r\nrest"), uint8(2))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		whole, closes, err := feedAll(t, string(b), max(len(b), 1))
		pieces, closes2, err2 := feedAll(t, string(b), int(cut)+1)
		require.Equal(t, whole, pieces)
		require.Equal(t, err, err2)
		if err == nil {
			require.Equal(t, closes, closes2)
		}
	})
}

// FuzzHTTPRequest: no head makes the parser panic, and what it gives lies in
// the head.
func FuzzHTTPRequest(f *testing.F) {
	f.Add([]byte("GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"))
	f.Add([]byte("HEAD / HTTP/1.0\r\nContent-Length: 0\r\nTransfer-Encoding:\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, ok := parseRequest(b)
		if !ok {
			return
		}
		require.NotEmpty(t, q.path)
		require.True(t, bytes.Contains(b, q.path))
		require.False(t, bytes.ContainsAny(q.path, " "))
		require.False(t, q.get && q.head)
	})
}
