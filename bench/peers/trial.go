package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/shardstack/shardstack/bench/peers/work"
)

// trialLimit ends a trial that hangs.
const trialLimit = 3 * time.Minute

// trialCommand is the first argument that makes this program do one trial.
const trialCommand = "trial"

// profileEnv names the environment variable that tells a trial's process which
// folder to write its CPU profile to.
const profileEnv = "PEERS_PROFILES"

// profiled runs fn, under the profiler if a profile of system at s is wanted.
func profiled(system string, s *work.Spec, fn func()) error {
	dir := os.Getenv(profileEnv)
	if dir == "" {
		fn()
		return nil
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-%d-%v.prof", system, s.Work, s.Conns, s.Offload)))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	fn()
	pprof.StopCPUProfile()
	return f.Close()
}

// answer is what a trial prints.
type answer struct {
	Value float64
	// Why there is no value, and which kind of reason it is.
	Fault           string `json:",omitempty"`
	NA, MissingHere bool   `json:",omitempty"`
}

// serveTrial is the process of a trial: SYSTEM and SPEC are its arguments.
func serveTrial(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: peers trial SYSTEM SPEC")
	}
	var s work.Spec
	if err := json.Unmarshal([]byte(args[1]), &s); err != nil {
		return err
	}
	var a answer
	var v float64
	var err error
	if e := profiled(args[0], &s, func() { v, err = runTrial(args[0], &s) }); e != nil {
		return e
	}
	if a.Value = v; err != nil {
		a = answer{Fault: err.Error(), NA: errors.Is(err, work.ErrNA), MissingHere: errors.Is(err, work.ErrMissing)}
	}
	return json.NewEncoder(out).Encode(a)
}

// trial runs this program again for one trial. Errors match work.ErrNA and
// work.ErrMissing as those of the system did.
func trial(system string, s *work.Spec) (float64, error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, trialCommand, system, string(spec))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", system, err, last(errs.Bytes(), 2000))
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return 0, fmt.Errorf("%s: %w in %q", system, err, last(out.Bytes(), 200))
	}
	switch {
	case a.NA:
		return 0, work.Again(work.ErrNA, a.Fault)
	case a.MissingHere:
		return 0, work.Again(work.ErrMissing, a.Fault)
	case a.Fault != "":
		return 0, errors.New(a.Fault)
	}
	return a.Value, nil
}

// last gives the end of b, at most n bytes.
func last(b []byte, n int) []byte {
	b = bytes.TrimSpace(b)
	return b[max(0, len(b)-n):]
}
