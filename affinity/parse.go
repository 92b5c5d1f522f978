package affinity

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseMask reads a hexadecimal mask, core 0 being the lowest bit: "0xf", "F",
// or in the kernel's groups of 32 bits, "1,00000000". Space around it is
// skipped. A mask of 0 is the empty set. ErrSyntax if it is no mask, ErrRange
// if it names a core from MaxCores on.
func ParseMask(text string) (Set, error) {
	bad := func() (Set, error) { return Set{}, fmt.Errorf("%w: core mask %q", ErrSyntax, text) }
	digits := strings.TrimSpace(text)
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		digits = digits[2:]
	}
	// Each group after the first has to be whole, or its bits would be
	// somebody else's.
	groups := strings.Split(digits, ",")
	for i, g := range groups {
		if g == "" || len(groups) > 1 && (len(g) > 8 || i > 0 && len(g) < 8) {
			return bad()
		}
	}
	digits = strings.TrimLeft(strings.Join(groups, ""), "0")

	var s Set
	for core := 0; digits != ""; core += 4 {
		last := len(digits) - 1
		v, ok := hexDigit(digits[last])
		if !ok {
			return bad()
		}
		if v != 0 && core >= MaxCores {
			return Set{}, fmt.Errorf("%w: mask %q names a core from %d on", ErrRange, text, MaxCores)
		}
		if core < MaxCores {
			s.words[core/64] |= v << (core % 64)
		}
		digits = digits[:last]
	}
	return s, nil
}

func hexDigit(c byte) (uint64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0'), true
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}

// ParseList reads a list of cores and ranges as the kernel writes it: "0-3,8".
// The order does not matter and cores may be repeated. Space around the list
// is skipped; an empty list is the empty set. ErrSyntax if it is no list or a
// range runs backwards, ErrRange if it names a core from MaxCores on.
func ParseList(text string) (Set, error) {
	var s Set
	list := strings.TrimSpace(text)
	if list == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err := parseCore(from)
		if err != nil {
			return Set{}, fmt.Errorf("%w in core list %q", err, text)
		}
		hi, err := parseCore(to)
		if err != nil {
			return Set{}, fmt.Errorf("%w in core list %q", err, text)
		}
		if hi < lo {
			return Set{}, fmt.Errorf("%w: range %q in core list %q", ErrSyntax, part, text)
		}
		for c := lo; c <= hi; c++ {
			s.words[c/64] |= 1 << (c % 64)
		}
	}
	return s, nil
}

// parseCore reads one core number: decimal digits only.
func parseCore(text string) (int, error) {
	if text == "" {
		return 0, fmt.Errorf("%w: no number", ErrSyntax)
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, fmt.Errorf("%w: %q", ErrSyntax, text)
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n >= MaxCores {
		return 0, fmt.Errorf("%w: %s", ErrRange, text)
	}
	return n, nil
}
