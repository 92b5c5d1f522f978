package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/shardstack/shardstack/port/impair"
)

// way is who sends to whom.
type way struct {
	name string
	lab  func(control string, faults impair.Config) (*lab, error)
	near bool // the end with the injector sends
}

// ways are what a row of the report compares, the first being the measure.
var ways = []way{
	{"Linux → Linux", newKernelLab, false},
	{"Linux → shardstack", newStackLab, false},
	{"shardstack → Linux", newStackLab, true},
}

// work is what is sent: for a time, or so many bytes.
type work struct {
	flows int
	warm  time.Duration
	time  time.Duration
	bytes int64 // of each flow; 0: as many as the time allows
}

// result is what came of it. mbps is of data that arrived while it was measured.
type result struct {
	mbps  float64
	bytes int64
}

const (
	servicePort = 5001
	chunk       = 64 << 10
	finishLimit = 2 * time.Minute
)

// runWay makes a lab, and runs a trial in it.
func runWay(w way, control string, faults impair.Config, job work) (r result, err error) {
	l, err := w.lab(control, faults)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	from, to := l.far, l.near
	if w.near {
		from, to = to, from
	}
	return transfer(from, to, job)
}

// transfer has one end send to the other. Each flow ends with the receiver's hash
// of all that came, which the sender compares with its own.
func transfer(from, to end, job work) (r result, err error) {
	ln, err := to.listen(servicePort)
	if err != nil {
		return r, err
	}
	defer ln.Close()
	var got atomic.Int64
	received := make(chan error, job.flows)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { received <- receive(c, &got) }()
		}
	}()
	var stop atomic.Bool
	sent := make(chan error, job.flows)
	for i := range job.flows {
		go func() {
			c, err := from.dial(netip.AddrPortFrom(to.addr(), servicePort))
			if err == nil {
				err = send(c, byte(i), job.bytes, &stop)
			}
			sent <- err
		}()
	}
	if job.bytes == 0 {
		time.Sleep(job.warm)
		begin, before := time.Now(), got.Load()
		time.Sleep(job.time)
		r.mbps = float64(got.Load()-before) * 8 / time.Since(begin).Seconds() / 1e6
		stop.Store(true)
	}
	limit := time.After(finishLimit)
	for range job.flows {
		select {
		case e := <-sent:
			err = errors.Join(err, e)
		case <-limit:
			return r, fmt.Errorf("not finished after %v; %v bytes have arrived", finishLimit, got.Load())
		}
	}
	if err != nil {
		return r, err
	}
	for range job.flows {
		select {
		case e := <-received:
			err = errors.Join(err, e)
		case <-limit:
			return r, errors.New("a receiver did not finish")
		}
	}
	r.bytes = got.Load()
	return r, err
}

// errHash: the receiver got something else than was sent.
var errHash = errors.New("hashes differ")

// send writes a pattern until it has sent n bytes or, with n 0, until stop, and
// then reads the receiver's hash.
func send(c net.Conn, seed byte, n int64, stop *atomic.Bool) error {
	defer c.Close()
	h := sha256.New()
	b := make([]byte, chunk)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	for left := n; n == 0 && !stop.Load() || left > 0; {
		k := len(b)
		if n != 0 {
			k = int(min(int64(k), left))
		}
		m, err := c.Write(b[:k])
		h.Write(b[:m])
		left -= int64(m)
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b[0]++ // no two blocks are the same
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	theirs, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("read of the hash: %w", err)
	}
	if !bytes.Equal(theirs, h.Sum(nil)) {
		return errHash
	}
	return nil
}

// receive reads all there is and answers with its hash.
func receive(c net.Conn, got *atomic.Int64) error {
	defer c.Close()
	h := sha256.New()
	b := make([]byte, chunk)
	for {
		n, err := c.Read(b)
		h.Write(b[:n])
		got.Add(int64(n))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	if _, err := c.Write(h.Sum(nil)); err != nil {
		return fmt.Errorf("write of the hash: %w", err)
	}
	return nil
}
