package main

import (
	"encoding/binary"
	"errors"
)

// Fields of a profile's messages (github.com/google/pprof, proto/profile.proto).
const (
	profileFunction = 5
	profileStrings  = 6
	profileTime     = 9
	profileDuration = 10
	profileComment  = 13

	functionFilename = 4
)

// Wire types of protocol buffers.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// errFormat: this is no profile.
var errFormat = errors.New("not a CPU profile")

// field is one of a message. Slices point into the message.
type field struct {
	num   uint64
	value uint64 // of a varint
	bytes []byte // of a string or message
	raw   []byte // the whole field, tag included
}

// fields calls f for each field of message b, in order, until it fails.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return errFormat
		}
		fd := field{num: tag >> 3}
		size, k := uint64(0), 0
		switch tag & 7 {
		case wireVarint:
			fd.value, k = binary.Uvarint(b[n:])
		case wireFixed64:
			size, k = 8, 0
		case wireFixed32:
			size, k = 4, 0
		case wireBytes:
			if size, k = binary.Uvarint(b[n:]); k == 0 {
				return errFormat
			}
		default:
			return errFormat
		}
		if k < 0 || tag&7 == wireVarint && k == 0 || size > uint64(len(b)-n-k) {
			return errFormat
		}
		end := n + k + int(size)
		fd.bytes, fd.raw = b[n+k:end], b[:end]
		if err := f(fd); err != nil {
			return err
		}
		b = b[end:]
	}
	return nil
}

// appendBytes adds a string or message field.
func appendBytes(b []byte, num uint64, v []byte) []byte {
	b = binary.AppendUvarint(b, num<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// profile is what has to be known of one.
type profile struct {
	sources map[int64]bool // numbers of the strings that name source files
}

func readProfile(b []byte) (*profile, error) {
	p := &profile{sources: make(map[int64]bool)}
	strings := 0
	err := fields(b, func(f field) error {
		switch f.num {
		case profileStrings:
			strings++
		case profileFunction:
			return fields(f.bytes, func(g field) error {
				if g.num == functionFilename {
					p.sources[int64(g.value)] = true
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && (strings == 0 || len(p.sources) == 0) {
		err = errFormat
	}
	return p, err
}
