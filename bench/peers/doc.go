// Peers does the same work on shardstack, gVisor's netstack, Linux, lwIP and
// DPDK's ring, on this machine, in one run, and prints a table with ratios.
//
//	make peers                 # from the project's root
//	make peers SHORT=1         # one run of 200 ms each: shows that it works
//	make peers JSON=out.json   # also as an array of figures
//	make peers UPDATE=1        # also writes docs/performance.md and its chart
//	make peers WORKS='^rr'     # only works whose name matches
//
// README.md says what each system does, and how it is tuned.
//
// Each trial runs in a process of its own ("peers trial SYSTEM SPEC"), so that
// no system works in the heap, the namespaces or the threads of another. Run
// after run the works take turns, and for each work the systems: what drifts on
// the machine hits all of them.
package main
