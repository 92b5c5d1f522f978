package script

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var be = binary.BigEndian

func itoa(n int) string { return strconv.Itoa(n) }

// size is what an option takes in a header, in bytes.
func (o *TCPOption) size() int {
	switch o.Kind {
	case optEOL, optNOP:
		return 1
	case optMSS, optUTO:
		return 4
	case optWScale:
		return 3
	case optSACKOK:
		return 2
	case optSACK:
		return 2 + 8*len(o.Blocks)
	case optTS:
		return 10
	case optExp:
		return 4 + len(o.Data)
	}
	return 2 + len(o.Data)
}

// optionsLen is what options take in a header, padding included.
func optionsLen(opts []TCPOption) int {
	n := 0
	for i := range opts {
		n += opts[i].size()
	}
	return (n + 3) &^ 3
}

// appendOptions writes options exactly as listed, padded with EOL.
func appendOptions(b []byte, opts []TCPOption) []byte {
	start := len(b)
	for i := range opts {
		o := &opts[i]
		if o.Kind <= optNOP {
			b = append(b, o.Kind)
			continue
		}
		b = append(b, o.Kind, uint8(o.size()))
		switch o.Kind {
		case optMSS, optUTO:
			b = be.AppendUint16(b, uint16(o.Num))
		case optWScale:
			b = append(b, uint8(o.Num))
		case optTS:
			b = be.AppendUint32(be.AppendUint32(b, o.Num), o.Ecr)
		case optSACK:
			for _, k := range o.Blocks {
				b = be.AppendUint32(be.AppendUint32(b, k[0]), k[1])
			}
		case optExp:
			b = append(be.AppendUint16(b, fastOpenMagic), o.Data...)
		default:
			b = append(b, o.Data...)
		}
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, optEOL)
	}
	return b
}

// parseOptions reads the options of a live segment. It does not lean on package
// header: what the stack writes is judged by code that is not the stack's.
func parseOptions(b []byte) (opts []TCPOption, err error) {
	for len(b) > 0 {
		kind := b[0]
		if kind <= optNOP {
			opts = append(opts, TCPOption{Kind: kind})
			if kind == optEOL {
				return opts, nil
			}
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return nil, fmt.Errorf("TCP option %d is cut short", kind)
		}
		o := TCPOption{Kind: kind}
		if !o.decode(b[2:b[1]]) {
			return nil, fmt.Errorf("TCP option %d has length %d", kind, b[1])
		}
		opts = append(opts, o)
		b = b[b[1]:]
	}
	return opts, nil
}

// decode reads the value of an option; false: its length is wrong.
func (o *TCPOption) decode(v []byte) bool {
	want := -1
	switch o.Kind {
	case optMSS, optUTO:
		want = 2
	case optWScale:
		want = 1
	case optSACKOK:
		want = 0
	case optTS:
		want = 8
	case optSACK:
		if len(v) == 0 || len(v)%8 != 0 {
			return false
		}
		for ; len(v) > 0; v = v[8:] {
			o.Blocks = append(o.Blocks, [2]uint32{be.Uint32(v), be.Uint32(v[4:])})
		}
		return true
	case optExp:
		if len(v) >= 2 && be.Uint16(v) == fastOpenMagic {
			v = v[2:]
		}
	}
	if want >= 0 && len(v) != want {
		return false
	}
	switch o.Kind {
	case optMSS, optUTO:
		o.Num = uint32(be.Uint16(v))
	case optWScale:
		o.Num = uint32(v[0])
	case optTS:
		o.Num, o.Ecr = be.Uint32(v), be.Uint32(v[4:])
	default:
		o.Data = slices.Clone(v)
	}
	return true
}

// String formats an option as a script writes it.
func (o *TCPOption) String() string {
	switch o.Kind {
	case optEOL:
		return "eol"
	case optNOP:
		return "nop"
	case optMSS:
		return fmt.Sprintf("mss %d", o.Num)
	case optWScale:
		return fmt.Sprintf("wscale %d", o.Num)
	case optSACKOK:
		return "sackOK"
	case optTS:
		return fmt.Sprintf("TS val %d ecr %d", o.Num, o.Ecr)
	case optUTO:
		return fmt.Sprintf("uto %d", o.Num)
	case optSACK:
		s := "sack"
		for _, b := range o.Blocks {
			s += fmt.Sprintf(" %d:%d", b[0], b[1])
		}
		return s
	case optFastOpen, optExp:
		s := "FO"
		if o.Kind == optExp {
			s = "FOEXP"
		}
		return strings.TrimSpace(s + " " + hex.EncodeToString(o.Data))
	}
	return fmt.Sprintf("option %d %x", o.Kind, o.Data)
}

func formatOptions(opts []TCPOption) string {
	var s []string
	for i := range opts {
		s = append(s, opts[i].String())
	}
	return "<" + strings.Join(s, ",") + ">"
}

// find returns the option of a kind, or nil.
func find(opts []TCPOption, kind uint8) *TCPOption {
	for i := range opts {
		if opts[i].Kind == kind {
			return &opts[i]
		}
	}
	return nil
}

// plain is the options without padding, sorted by kind: what they say.
func plain(opts []TCPOption) []TCPOption {
	var out []TCPOption
	for _, o := range opts {
		if o.Kind > optNOP {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b TCPOption) int { return int(a.Kind) - int(b.Kind) })
	return out
}
