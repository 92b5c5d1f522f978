//go:build !pbufdebug

package pbuf

// debug guards every check of the debug build; being a constant, it removes
// them from this one.
const debug = false

type poolDebug struct{}

// BindThread declares the calling OS thread to be the only one to use the pool
// from now on. Only the debug build checks that.
func (pl *Pool) BindThread() {}

// UnbindThread takes BindThread back.
func (pl *Pool) UnbindThread() {}

func assertNoPointers[T any]()       {}
func (p *Pbuf) assertLive()          {}
func (p *Pbuf) assertRef()           {}
func (p *Pbuf) assertFree()          {}
func (p *Pbuf) markQueued()          {}
func (p *Pbuf) unmarkQueued()        {}
func (p *Pbuf) debugAlloc()          {}
func (p *Pbuf) debugFree()           {}
func (p *Pbuf) debugForeign()        {}
func (p *Pbuf) debugHandover(uint8)  {}
func (p *Pbuf) debugReturn(*Pool)    {}
func (c *class) debugShuffle()       {}
func (pl *Pool) debugInit()          {}
func (pl *Pool) assertOwner()        {}
func (pl *Pool) debugReport() string { return "" }
