package ring

// PadSize is the distance in bytes that keeps two words out of each other's
// cache line and of the line that is prefetched with it.
const PadSize = 128

// wordSize is the size in bytes of one of go.uber.org/atomic's integers.
const wordSize = 8

// Pad between two fields of a struct keeps them out of each other's cache
// lines, wherever the struct lies.
type Pad [PadSize]byte

// around is what goes before and after one atomic word so that no neighbour
// shares its cache lines, wherever the struct lies.
type around [PadSize - wordSize]byte

// noCopy makes go vet report copies of a struct that holds one.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
