// Shardgen makes and takes traffic with shardstack: bulk transfer,
// request-response, connection rate, UDP, HTTP and ping, over an in-memory
// wire or a TAP device, on as many cores as it is given.
//
// "shardgen help" lists the commands, "shardgen help COMMAND" their flags.
//
// The way of a run:
//
//	main.go       signals
//	commands.go   which command
//	options.go    its flags, checked
//	bed.go        ports and groups of shards
//	run.go        a client on each shard, until time, count or Ctrl-C
//	live.go       a line each second
//	report.go     what came of it, as text or JSON
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK        = 0
	exitFailed    = 1 // the run failed, or nothing succeeded
	exitUsage     = 2 // the command line is wrong
	exitInterrupt = 130
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go heed(signals, cancel, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// heed ends the run in order at the first signal and the process at the second.
func heed(signals <-chan os.Signal, cancel func(), exit func(code int)) {
	<-signals
	say(os.Stderr, "shardgen: ending; once more to end at once\n")
	cancel()
	<-signals
	exit(exitInterrupt)
}
