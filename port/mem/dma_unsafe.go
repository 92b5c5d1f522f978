package mem

import (
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
)

// target returns the first n bytes of the data room of a posted buffer, which is
// empty, as Pool.AllocBatch made it, and whose header is at address buf. The
// sender writes them without looking at the header, which is the receiver's.
func target(buf uintptr, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(nil, buf+pbuf.PbufSize+pbuf.Headroom)), n)
}
