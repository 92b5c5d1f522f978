package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/load"
)

// exchangeOver does the exchange service's part of the kernel's side, written
// apart from the stack's: both directions at once, then the hashes.
func exchangeOver(c net.Conn, size int64) error {
	sent := make(chan error, 1)
	received := make(chan [8]byte, 1)
	block := load.NewPattern(load.PatternSeed)
	go func() {
		for left := size; left > 0; {
			n, err := c.Write(block[:min(left, int64(len(block)))])
			if err != nil {
				sent <- err
				return
			}
			left -= int64(n)
		}
		h, ok := <-received
		if !ok {
			sent <- io.ErrUnexpectedEOF
			return
		}
		if _, err := c.Write(h[:]); err != nil {
			sent <- err
			return
		}
		sent <- c.(*net.TCPConn).CloseWrite()
	}()
	r := bufio.NewReaderSize(c, 256<<10)
	sum := xxhash.New()
	if n, err := io.CopyN(sum, r, size); err != nil {
		close(received)
		return fmt.Errorf("after %d of %d bytes: %w (sending: %w)", n, size, err, <-sent)
	}
	var ours, theirs [8]byte
	binary.BigEndian.PutUint64(ours[:], sum.Sum64())
	received <- ours
	if _, err := io.ReadFull(r, theirs[:]); err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	want := xxhash.New()
	load.HashPattern(want, load.PatternSeed, size)
	if want.Sum64() != sum.Sum64() || ours != theirs {
		return fmt.Errorf("hashes differ: want %x, we saw %x, the stack saw %x", want.Sum64(), ours, theirs)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("after the hash: %d bytes, %w", n, err)
	}
	return nil
}

// exchangeServer takes an exchange that the stack opens.
func exchangeServer(errs chan<- error) func(c net.Conn) {
	return func(c net.Conn) {
		var head [8]byte
		_, err := io.ReadFull(c, head[:])
		if err == nil {
			err = exchangeOver(c, int64(binary.BigEndian.Uint64(head[:])))
		}
		errs <- err
	}
}

// exchange opens an exchange from the kernel's side.
func (l *lab) exchange(size int64) error {
	c, err := l.dial("tcp4", "5201")
	if err != nil {
		return err
	}
	defer c.Close()
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], uint64(size))
	if _, err := c.Write(head[:]); err != nil {
		return err
	}
	return exchangeOver(c, size)
}

func TestLinuxExchangesOneGiBEachWay(t *testing.T) {
	l := newLab(t)
	errs := make(chan error, 1)
	l.listen("5201", exchangeServer(errs))
	r := l.measure(1, "exchange", "--size=1G")
	require.NoError(t, <-errs)
	require.Equal(t, uint64(1), r.Totals.Operations)
	require.Equal(t, uint64(1<<30+8), r.Totals.BytesIn)
	clean(t, r)
}

func TestLinuxOpensExchanges(t *testing.T) {
	const size, conns = 64 << 20, 4
	l := newLab(t)
	end := l.serve(2)
	errs := make(chan error, conns)
	for range conns {
		go func() { errs <- l.exchange(size) }()
	}
	for range conns {
		require.NoError(t, <-errs)
	}
	r := end()
	require.Equal(t, uint64(conns), r.Totals.Operations)
	clean(t, r)
}
