// Package script runs test scripts in the language of packetdrill on a
// stack.Stack in simulated time.
//
// A script is a list of events in time: calls of a BSD-like socket interface,
// packets that the peer sends (<) and packets that the stack must send (>),
// assertions about TCP_INFO in %{ }%, and shell command lines of which those
// that set a sysctl are carried out on the stack's configuration. The language
// is described in docs/pktscript.md.
//
//	s, err := script.Parse("close.pkt", src)
//	...
//	res, err := s.Run(script.Options{})
//
// Everything happens on the caller's thread and without a clock: the runner owns
// the wire, jumps from one event to the next timer, and a minute of TCP takes
// milliseconds. The same script gives the same packets each time.
//
// As in packetdrill, a script speaks of numbers of its own: sequence numbers are
// relative, the values of timestamps are those that the script first named, and
// ports are the runner's. The runner translates between them and the live ones.
package script
