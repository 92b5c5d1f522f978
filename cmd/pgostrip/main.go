// Pgostrip takes out of a CPU profile what says where it was recorded: paths of
// the program and of libraries, which a profile has of the mappings of memory,
// and the times. A compiler reads functions, lines and counts; those stay, so
// that a profile can be committed as default.pgo.
//
//	go tool pprof -proto a.prof b.prof | pgostrip >default.pgo
//
// It fails if a source file has an absolute path: build with -trimpath.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := strip(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pgostrip:", err)
		os.Exit(1)
	}
}

// strip copies a profile, gzipped or not, from r to w, gzipped.
func strip(r io.Reader, w io.Writer) error {
	in, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(in, []byte{0x1f, 0x8b}) { // RFC 1952 2.3.1
		z, err := gzip.NewReader(bytes.NewReader(in))
		if err != nil {
			return err
		}
		if in, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	out, err := stripped(in)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = z.Write(out)
	return errors.Join(err, z.Close())
}

// stripped gives a profile without paths and times.
func stripped(in []byte) ([]byte, error) {
	p, err := readProfile(in)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(in))
	n := int64(-1) // of the string at hand
	err = fields(in, func(f field) error {
		switch f.num {
		case profileTime, profileDuration, profileComment:
			return nil
		case profileStrings:
			n++
			switch name := string(f.bytes); {
			case p.sources[n] && absolute(name):
				return fmt.Errorf("source file %s: build with -trimpath", name)
			case absolute(name):
				out = appendBytes(out, f.num, nil) // its place stays, as strings are numbered
				return nil
			}
		}
		out = append(out, f.raw...)
		return nil
	})
	return out, err
}

// absolute reports whether a string is a path of a file system, rather than the
// name of a package's file or of a function.
func absolute(s string) bool {
	return len(s) > 0 && (s[0] == '/' || s[0] == '\\') ||
		len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/')
}
