package pbuf

import "errors"

// Pages says what backs a mapping.
type Pages uint8

const (
	// PagesBase: pages of the base size.
	PagesBase Pages = iota
	// PagesTransparent: the kernel was asked for transparent huge pages.
	PagesTransparent
	// PagesHuge: reserved huge pages.
	PagesHuge
)

// String names the kind of pages.
func (p Pages) String() string {
	switch p {
	case PagesTransparent:
		return "transparent huge"
	case PagesHuge:
		return "huge"
	}
	return "base"
}

// maxNodes is how many memory nodes Linux can number.
const maxNodes = 1024

// mapping is a piece of anonymous memory, aligned to a page.
type mapping struct {
	base  uintptr
	size  uintptr
	pages Pages
}

// joinUnmap gives a mapping back because of err.
func joinUnmap(err error, m mapping) error { return errors.Join(err, m.unmap()) }
