package load

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/stack"
)

func netipPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestHTTPClientAndServer(t *testing.T) {
	for path, size := range map[string]int{"/": 64, "/bytes/100000": 100_000, "/sha256/10": 65} {
		w := newWire(t, pbuf.Config{Buffers: 2048, Small: 2048}, nil)
		sv := w.serve(ServerConfig{})
		c := NewHTTP(w.client.s, Config{To: to(PortHTTP), Conns: 7, Path: path, Count: 200})
		w.start(c)
		w.until(10*second, c.Done)
		n := c.Counters()
		require.NoError(t, c.Err())
		require.Equal(t, uint64(200), n.Ops)
		require.Zero(t, n.Errors+n.Failed)
		require.Equal(t, uint64(7), n.Opened)
		require.Greater(t, n.BytesIn, uint64(200*size))
		require.Less(t, n.BytesIn, uint64(200*(size+150)))
		require.Equal(t, uint64(200), sv.Counters().Ops)
		c.Stop()
		w.until(second, func() bool { return sv.Counters().Closed == 7 })
		w.clean()
	}
}

func TestHTTPStatusIsAnError(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	c := NewHTTP(w.client.s, Config{To: to(PortHTTP), Path: "/nothing", Count: 5})
	w.start(c)
	w.until(second, c.Done)
	require.Equal(t, uint64(5), c.Counters().Errors)
	require.ErrorContains(t, c.Err(), "404")
}

// ask sends text to the HTTP service in pieces of n bytes and gives what comes
// back until the server closes, or until the answers have want bytes.
func (w *wire) ask(text string, n, want int) string {
	w.t.Helper()
	var got strings.Builder
	closed := false
	pcb := w.client.s.NewTCP()
	pcb.SetNoDelay(true)
	send := func() {
		for text != "" {
			k := min(n, len(text))
			if pcb.Write([]byte(text[:k]), 0) != nil {
				return
			}
			text = text[k:]
		}
	}
	pcb.SetSent(func(any, *stack.TCP, int) error { send(); return nil })
	pcb.SetErr(func(_ any, err error) { closed = true })
	pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
		if p == nil {
			closed = true
			return pcb.Close()
		}
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		pcb.Recved(len(b))
		got.Write(b)
		return nil
	})
	require.NoError(w.t, pcb.Connect(to(PortHTTP), func(any, *stack.TCP, error) error { send(); return nil }))
	w.until(60*second, func() bool { return closed || want > 0 && got.Len() >= want })
	if !closed {
		_ = pcb.Close()
	}
	return got.String()
}

func TestHTTPServerTakesRequestsInPieces(t *testing.T) {
	w := newWire(t, pbuf.Config{Small: 2048}, nil)
	w.serve(ServerConfig{Body: 10})
	text := "GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /bytes/7 HTTP/1.1\r\n\r\nGET /bytes/7 HTTP/1.1\r\nConnection: close\r\n\r\n"
	want := ""
	for _, n := range []int{len(text), 1, 13} {
		got := w.ask(text, n, 0)
		require.Equal(t, 3, strings.Count(got, "HTTP/1.1 200 OK\r\n"))
		require.Equal(t, 2, strings.Count(got, "Content-Length: 7\r\n"))
		pattern := string(NewPattern(PatternSeed)[:7])
		require.True(t, strings.HasSuffix(got, "\r\n\r\n"+pattern))
		require.Equal(t, 1, strings.Count(got[len(got)/2:], pattern)) // HEAD has no body
		if want != "" {
			require.Equal(t, want, got)
		}
		want = got
	}
}

func TestHTTPServerAnswersManyPipelinedRequests(t *testing.T) {
	// Far more than its request buffer and its send buffer hold.
	w := newWire(t, pbuf.Config{Buffers: 2048, Small: 4096}, func(c *stack.Config) { c.TCP.SendBuf, c.TCP.RecvBuf = 16<<10, 16<<10 })
	w.serve(ServerConfig{Body: 1000})
	const n = 500
	got := w.ask(strings.Repeat("GET / HTTP/1.1\r\n\r\n", n)+"GET /bytes/5000 HTTP/1.0\r\n\r\n", 1400, 0)
	require.Equal(t, n+1, strings.Count(got, "HTTP/1.1 200 OK\r\n"))
	require.True(t, strings.HasSuffix(got, string(NewPattern(PatternSeed)[:5000])))
}

func TestHTTPServerRefusesWhatItDoesNotKnow(t *testing.T) {
	for text, code := range map[string]string{
		"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n":              "404",
		"GET /bytes/x HTTP/1.0\r\n\r\n":                             "404",
		"GET /sha256/99999999999999 HTTP/1.0\r\n\r\n":               "404",
		"DELETE / HTTP/1.1\r\n\r\n":                                 "405",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc":           "400",
		"nonsense\r\n\r\n":                                          "400",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n":                        "400",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 5000) + "...": "",
	} {
		w := newWire(t, pbuf.Config{}, nil)
		w.serve(ServerConfig{})
		got := w.ask(text, len(text), 0)
		if code == "" {
			require.Empty(t, got)
			continue
		}
		require.True(t, strings.HasPrefix(got, "HTTP/1.1 "+code), "%q: %q", text, got)
	}
}

func TestHTTPServerHashesInSteps(t *testing.T) {
	w := newWire(t, pbuf.Config{}, nil)
	w.serve(ServerConfig{})
	const n = 3*hashStep + 5
	sum := sha256.New()
	HashPattern(sum, PatternSeed, n)
	begun := w.now
	got := w.ask(fmt.Sprintf("GET /sha256/%d HTTP/1.0\r\n\r\n", n), 1000, 0)
	require.True(t, strings.HasSuffix(got, fmt.Sprintf("\r\n\r\n%x\n", sum.Sum(nil))), got)
	require.Greater(t, w.now-begun, int64(3*httpPoll)) // the shard got round to other things
}

func TestHTTPServerSendsLongBodyOfRoot(t *testing.T) {
	w := newWire(t, pbuf.Config{Buffers: 2048}, nil)
	w.serve(ServerConfig{Body: 300_000})
	got := w.ask("GET / HTTP/1.0\r\n\r\n", 100, 0)
	require.True(t, strings.HasSuffix(got, string(NewPattern(PatternSeed)[:300_000])))
}

// A server that closes after each answer, as RFC 9112 9.6 allows, is no error.
func TestHTTPClientOpensAnewAfterClose(t *testing.T) {
	for name, answer := range map[string]string{
		"said so":        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
		"until the end":  "HTTP/1.1 200 OK\r\n\r\nhi there",
		"without a word": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, pbuf.Config{}, func(c *stack.Config) { c.TCP.TimeWait = -1 })
			l := w.server.s.NewTCP()
			l.SetAccept(func(_ any, pcb *stack.TCP, _ error) error {
				pcb.SetRecv(func(_ any, pcb *stack.TCP, p *pbuf.Pbuf, _ error) error {
					if p == nil {
						return nil
					}
					pcb.Recved(p.TotLen())
					p.Free()
					require.NoError(t, pcb.Write([]byte(answer), 0))
					return pcb.Close()
				})
				return nil
			})
			require.NoError(t, l.Bind(to(PortHTTP)))
			require.NoError(t, l.Listen(50))
			c := NewHTTP(w.client.s, Config{To: to(PortHTTP), Conns: 3, Count: 30})
			w.start(c)
			w.until(20*second, c.Done)
			require.Equal(t, uint64(30), c.Counters().Ops)
			if name != "without a word" { // then the next request may be on its way
				require.Zero(t, c.Counters().Failed, "%v", c.Err())
				require.Equal(t, uint64(30), c.Counters().Opened)
			}
		})
	}
}
