package pbuf

import "fmt"

// Class is a size class of a pool's elements.
type Class uint8

// The classes, smallest first.
const (
	ClassSmall    Class = iota // SmallRoom bytes: headers, acknowledgements, KindRef
	ClassStandard              // Config.DataRoom bytes: frames
	ClassJumbo                 // Config.JumboRoom bytes: TSO and LRO segments
	NumClasses    = 3
)

// String names the class.
func (c Class) String() string {
	switch c {
	case ClassSmall:
		return "small"
	case ClassStandard:
		return "standard"
	case ClassJumbo:
		return "jumbo"
	}
	return "class?"
}

// Data rooms in bytes, without the headroom in front.
const (
	SmallRoom        = 256
	DefaultDataRoom  = 2048
	DefaultJumboRoom = 65536 + 256 // the longest IP packet, link header, trailer
	MaxRoom          = 0xffff << lineShift
)

// Default numbers of buffers in a pool.
const (
	DefaultSmall   = 8192
	DefaultBuffers = 8192
	DefaultJumbo   = 64

	maxCount = 1 << 28
)

// HugePolicy says which pages back a mapping.
type HugePolicy uint8

const (
	// HugeAuto takes reserved huge pages (MAP_HUGETLB) if there are enough, for
	// mappings of one such page or more, else asks for transparent ones.
	HugeAuto HugePolicy = iota
	// HugeTransparent asks for transparent huge pages only.
	HugeTransparent
	// HugeNever takes pages of the base size.
	HugeNever
	// HugeRequire takes reserved huge pages or fails with ErrNoHugePages.
	HugeRequire
)

// NUMANode says on which memory node a mapping should lie: AnyNode or Node(n).
type NUMANode int

// AnyNode leaves the choice to the kernel: the node of the core that touches a
// page first.
const AnyNode NUMANode = 0

// Node prefers node n, counted from 0 as the kernel does.
func Node(n int) NUMANode { return NUMANode(n + 1) }

// Config describes a pool. The zero Config is a good pool for one queue.
type Config struct {
	Name      string     // for errors and statistics; "" is "pool" and its ID
	Small     int        // small buffers; 0 = DefaultSmall, negative = none
	Buffers   int        // standard buffers; 0 = DefaultBuffers, negative = none
	Jumbo     int        // jumbo buffers; 0 = DefaultJumbo, negative = none
	DataRoom  int        // bytes in a standard buffer; 0 = DefaultDataRoom
	JumboRoom int        // bytes in a jumbo buffer; 0 = DefaultJumboRoom
	HugePages HugePolicy // zero = HugeAuto
	NUMANode  NUMANode   // zero = AnyNode
	Prefault  bool       // touch all pages now; false = on first use

	// Backing, by class, is where elements come from instead of the pool's own
	// mapping; nil = own. The count of the class is then how many may be out.
	Backing [NumClasses]Backing
}

// Validate returns an error matching ErrConfig if the Config is contradictory.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.DataRoom < SmallRoom || c.DataRoom > MaxRoom:
		return fmt.Errorf("%w: DataRoom %d is not in [%d, %d]", ErrConfig, c.DataRoom, SmallRoom, MaxRoom)
	case c.JumboRoom < c.DataRoom || c.JumboRoom > MaxRoom:
		return fmt.Errorf("%w: JumboRoom %d is not in [%d, %d]", ErrConfig, c.JumboRoom, c.DataRoom, MaxRoom)
	case c.HugePages > HugeRequire:
		return fmt.Errorf("%w: HugePages %d", ErrConfig, c.HugePages)
	case c.NUMANode < 0 || c.NUMANode > maxNodes:
		return fmt.Errorf("%w: NUMA node %d", ErrConfig, c.NUMANode-1)
	case max(c.Small, c.Buffers, c.Jumbo) > maxCount:
		return fmt.Errorf("%w: more than %d buffers of a class", ErrConfig, maxCount)
	case c.Small == 0 && c.Backing[ClassSmall] != nil, c.Buffers == 0 && c.Backing[ClassStandard] != nil,
		c.Jumbo == 0 && c.Backing[ClassJumbo] != nil:
		return fmt.Errorf("%w: a Backing for a class without buffers", ErrConfig)
	case c.Small == 0 && c.Buffers == 0 && c.Jumbo == 0:
		return fmt.Errorf("%w: no buffers at all", ErrConfig)
	}
	return nil
}

// withDefaults returns c with its defaults filled in, negative counts as 0, and
// rooms rounded up to whole lines.
func (c Config) withDefaults() Config {
	c.Small = count(c.Small, DefaultSmall)
	c.Buffers = count(c.Buffers, DefaultBuffers)
	c.Jumbo = count(c.Jumbo, DefaultJumbo)
	if c.DataRoom == 0 {
		c.DataRoom = DefaultDataRoom
	}
	if c.JumboRoom == 0 {
		c.JumboRoom = max(DefaultJumboRoom, c.DataRoom)
	}
	c.DataRoom = roundUp(c.DataRoom, lineSize)
	c.JumboRoom = roundUp(c.JumboRoom, lineSize)
	return c
}

func count(n, def int) int {
	if n == 0 {
		return def
	}
	return max(n, 0)
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
