package netconn_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveHTTP serves h at port 80 of the bed's server and returns a client over
// the bed's client Net.
func serveHTTP(t *testing.T, b *bed, h http.Handler) *http.Client {
	t.Helper()
	ln, err := b.server.Listen("tcp", ":80")
	require.NoError(t, err)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	tr := &http.Transport{DialContext: b.client.DialContext, MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// random gives n bytes that depend on seed.
func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

func TestHTTPManyRequests(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		client := serveHTTP(t, newBed(t, base), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "you asked for %s", r.URL.Path)
		}))
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for j := range 20 {
					path := fmt.Sprintf("/%d/%d", i, j)
					resp, err := client.Get("http://10.0.0.2" + path)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(body) != "you asked for "+path {
						t.Errorf("%s: %q, %v", path, body, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestHTTPLargeBodiesBothWays(t *testing.T) {
	eachShards(t, func(t *testing.T, base setup) {
		client := serveHTTP(t, newBed(t, base), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			if _, err := io.Copy(io.MultiWriter(h, w), r.Body); err != nil {
				t.Error(err)
			}
		}))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				want := random(3<<20+i, uint64(i))
				resp, err := client.Post("http://10.0.0.2/", "application/octet-stream", bytes.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				h := sha256.New()
				n, err := io.Copy(h, resp.Body)
				if sum := sha256.Sum256(want); err != nil || n != int64(len(want)) || !bytes.Equal(h.Sum(nil), sum[:]) {
					t.Errorf("%d bytes came back, of %d: %v", n, len(want), err)
				}
			})
		}
		wg.Wait()
	})
}

func TestHTTPKeepsConnectionsAlive(t *testing.T) {
	client := serveHTTP(t, newBed(t, setup{}), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}))
	var dialled, reused atomic.Int32
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			reused.Add(1)
		} else {
			dialled.Add(1)
		}
	}}
	for range 50 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "http://10.0.0.2/", nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
	}
	require.EqualValues(t, 1, dialled.Load())
	require.EqualValues(t, 49, reused.Load())
}

// A handler learns that its client is gone, by the background read that
// net/http keeps on the connection.
func TestHTTPHandlerSeesClientLeave(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	client := serveHTTP(t, newBed(t, setup{}), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://10.0.0.2/", nil)
	require.NoError(t, err)
	go func() {
		<-entered
		cancel()
	}()
	resp, err := client.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the handler did not hear of it")
	}
}

// The types are those that programs assert.
var (
	_ interface {
		net.Conn
		CloseRead() error
		CloseWrite() error
		SetNoDelay(bool) error
		SetLinger(int) error
		SetKeepAlive(bool) error
		SetKeepAlivePeriod(time.Duration) error
		SetKeepAliveConfig(net.KeepAliveConfig) error
	} = (*net.TCPConn)(nil)
)
