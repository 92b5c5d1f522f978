package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/shard"
	"github.com/shardstack/shardstack/stack"
)

// The values of flags that package pflag has no type for.

// bytesValue is a number of bytes: 64, 16K, 1M, 2G (powers of 1024).
type bytesValue int64

func (v *bytesValue) Set(text string) error {
	n, err := parseScaled(text, 1024)
	if err != nil {
		return err
	}
	if n != float64(int64(n)) {
		return fmt.Errorf("%q is no whole number of bytes", text)
	}
	*v = bytesValue(n)
	return nil
}

func (v *bytesValue) String() string {
	n := int64(*v)
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func (v *bytesValue) Type() string { return "size" }

// rateValue is a number that may have a unit: 1000, 10k, 2.5M (powers of 1000).
type rateValue float64

func (v *rateValue) Set(text string) error {
	n, err := parseScaled(text, 1000)
	*v = rateValue(n)
	return err
}

func (v *rateValue) String() string { return strconv.FormatFloat(float64(*v), 'g', -1, 64) }
func (v *rateValue) Type() string   { return "number" }

// countValue is a whole number that may have a unit as rateValue has.
type countValue uint64

func (v *countValue) Set(text string) error {
	n, err := parseScaled(text, 1000)
	if err == nil && n != float64(uint64(n)) {
		err = fmt.Errorf("%q is no whole number", text)
	}
	*v = countValue(n)
	return err
}

func (v *countValue) String() string { return strconv.FormatUint(uint64(*v), 10) }
func (v *countValue) Type() string   { return "number" }

// parseScaled reads a number of 0 or more with a unit K, M, G or none.
func parseScaled(text string, unit float64) (float64, error) {
	digits := strings.TrimRight(text, "kKmMgG")
	scale := 1.0
	switch strings.ToUpper(text[len(digits):]) {
	case "":
	case "K":
		scale = unit
	case "M":
		scale = unit * unit
	case "G":
		scale = unit * unit * unit
	default:
		return 0, fmt.Errorf("%q: want a number and K, M, G or nothing", text)
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n >= 0) || n*scale >= 1<<62 {
		return 0, fmt.Errorf("%q: want a number and K, M, G or nothing", text)
	}
	return n * scale, nil
}

// prefixes is a list of addresses with their networks, one each time the flag
// is given; commas separate too.
type prefixes []netip.Prefix

func (v *prefixes) Set(text string) error {
	for _, s := range strings.Split(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("%q is no address with a prefix length, as 10.9.0.1/24 or 2001:db8::1/64", s)
		}
		*v = append(*v, p)
	}
	return nil
}

func (v *prefixes) String() string {
	list := make([]string, len(*v))
	for i, p := range *v {
		list[i] = p.String()
	}
	return strings.Join(list, ",")
}

func (v *prefixes) Type() string { return "address/bits" }

// addrValue is an address.
type addrValue netip.Addr

func (v *addrValue) Set(text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4In6() {
		return fmt.Errorf("%q is no address", text)
	}
	*v = addrValue(a)
	return nil
}

func (v *addrValue) String() string {
	if a := netip.Addr(*v); a.IsValid() {
		return a.String()
	}
	return ""
}

func (v *addrValue) Type() string { return "address" }

// idleValue is a shard's idle policy.
type idleValue struct {
	policy shard.IdlePolicy
	set    bool
}

func (v *idleValue) Set(text string) (err error) {
	v.policy, err = shard.ParseIdlePolicy(text)
	v.set = err == nil
	return err
}

func (v *idleValue) String() string { return v.policy.String() }
func (v *idleValue) Type() string   { return "policy" }

// seedValue is a seed; without one each run has its own.
type seedValue struct {
	n   uint64
	set bool
}

func (v *seedValue) Set(text string) error {
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return fmt.Errorf("%q is no number of 64 bits", text)
	}
	v.n, v.set = n, true
	return nil
}

func (v *seedValue) String() string {
	if !v.set {
		return ""
	}
	return strconv.FormatUint(v.n, 10)
}

func (v *seedValue) Type() string { return "number" }

// gsoValue and groValue say who works on big segments.
type (
	gsoValue stack.GSOMode
	groValue shard.GROPolicy
)

func (v *gsoValue) Set(text string) error {
	m, err := stack.ParseGSOMode(text)
	*v = gsoValue(m)
	return err
}

func (v *gsoValue) String() string { return stack.GSOMode(*v).String() }
func (v *gsoValue) Type() string   { return "mode" }

func (v *groValue) Set(text string) error {
	p, err := shard.ParseGROPolicy(text)
	*v = groValue(p)
	return err
}

func (v *groValue) String() string { return shard.GROPolicy(*v).String() }
func (v *groValue) Type() string   { return "mode" }
