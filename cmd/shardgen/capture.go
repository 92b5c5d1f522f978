package main

import (
	"bufio"
	"errors"
	"os"
	"time"

	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/pcap"
	"github.com/shardstack/shardstack/shard"
)

// capture is the file of --pcap.
type capture struct {
	file *os.File
	buf  *bufio.Writer
	pcap *pcap.Writer
}

// captureBuffer keeps the shards, which write their own frames, from a system
// call a burst.
const captureBuffer = 1 << 20

// newCapture makes the file and returns it with p wrapped, so that all frames
// of p go there.
func newCapture(name string, p port.Port) (*capture, port.Port, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	c := &capture{file: f, buf: bufio.NewWriterSize(f, captureBuffer)}
	// The shards' clock is monotonic; a capture has the time of day.
	c.pcap, err = pcap.NewWriter(c.buf, pcap.Config{Epoch: time.Now().Add(-time.Duration(shard.Now()))})
	if err == nil {
		p, err = c.pcap.Wrap(p)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return c, p, nil
}

// close completes the file; the port is closed.
func (c *capture) close() error {
	return errors.Join(c.pcap.Err(), c.buf.Flush(), c.file.Close())
}
