// Package sim is a network of stacks in simulated time, for tests of the stack
// and of what is built on it: hosts, switches, and links with rate, delay, loss
// and queues (package netem). The clock jumps from one event to the next, so
// that a minute of TCP takes milliseconds, and the same seed gives the same
// packets at the same nanoseconds.
//
//	net, err := sim.New(sim.Config{Seed: 1})
//	a, err := net.AddHost(sim.HostConfig{Name: "a"})
//	b, err := net.AddHost(sim.HostConfig{Name: "b"})
//	l, err := net.Connect(sim.LinkConfig{
//		A:  sim.End{Node: a, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")}},
//		B:  sim.End{Node: b, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.2/24")}},
//		AB: netem.Config{Rate: 100e6, Delay: 20 * time.Millisecond, Loss: 0.01},
//		BA: netem.Config{Delay: 20 * time.Millisecond},
//	})
//	capture, err := l.Capture(file, 0)
//	… listen on b.Stack(), connect on a.Stack() …
//	net.Run(10 * time.Second)
//	err = net.Close() // fails if a buffer leaked
//
// # Threads and time
//
// A network is one thread's. Between runs that thread may call the stacks as it
// likes. During a run, callbacks of a host's stack call that stack only;
// functions given to [Network.At] may call all of them.
//
// The clock starts at [Start], not at 0, and is what captures show as the time
// since 1970.
package sim
