//go:build !pbufdebug

package pbuf

// debug guards every check of the debug build; being a constant, it removes
// them from this one.
const debug = false

const debugGuard = 0

type (
	poolDebug  struct{} //lint:ignore U1000 the debug build's has fields
	classDebug struct{}
)

// BindThread declares the calling OS thread to be the only one to use the pool
// and the buffers it holds from now on. Only the debug build checks that.
func (pl *Pool) BindThread() {}

// UnbindThread takes BindThread back.
func (pl *Pool) UnbindThread() {}

func assertNoPointers[T any]()       {}
func debugForget([]uintptr)          {}
func (p *Pbuf) assertLive()          {}
func (p *Pbuf) assertRef()           {}
func (p *Pbuf) assertFree()          {}
func (p *Pbuf) markQueued()          {}
func (p *Pbuf) unmarkQueued()        {}
func (p *Pbuf) debugAlloc()          {}
func (p *Pbuf) debugAdopt()          {}
func (p *Pbuf) debugFree()           {}
func (p *Pbuf) debugDisown()         {}
func (p *Pbuf) debugFreeLent()       {}
func (p *Pbuf) debugHandover(uint8)  {}
func (p *Pbuf) debugReturn(*Pool)    {}
func (c *class) debugShuffle()       {}
func (pl *Pool) assertOwner()        {}
func (pl *Pool) debugReport() string { return "" }
