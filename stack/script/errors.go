package script

import (
	"errors"
	"fmt"
)

// What a script can fail of; match with errors.Is.
var (
	// ErrSyntax: the script is not of the language.
	ErrSyntax = errors.New("script: syntax error")
	// ErrUnsupported: the script asks for something that this stack or runner
	// does not have.
	ErrUnsupported = errors.New("script: not supported")
	// ErrMismatch: the stack did something else than the script says.
	ErrMismatch = errors.New("script: not as expected")
)

// Error says where and why a script failed.
type Error struct {
	File string
	Line int
	Kind error  // ErrSyntax, ErrUnsupported or ErrMismatch
	Msg  string // one line
	// Expected and Seen are what differs, as lines of the language; both are
	// empty if the message says it all.
	Expected, Seen string
	// Trace is what went over the wire before, one packet a line.
	Trace []string
}

// Error is file, line and reason.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Unwrap is the kind of the error.
func (e *Error) Unwrap() error { return e.Kind }

// Diff formats the error for people: the reason, what was expected (-) and
// what was seen (+).
func (e *Error) Diff() string {
	s := e.Error() + "\n"
	if e.Expected != "" {
		s += "- " + e.Expected + "\n"
	}
	if e.Seen != "" {
		s += "+ " + e.Seen + "\n"
	}
	return s
}

func syntax(line int, format string, a ...any) *Error {
	return &Error{Line: line, Kind: ErrSyntax, Msg: fmt.Sprintf(format, a...)}
}

func unsupported(line int, format string, a ...any) *Error {
	return &Error{Line: line, Kind: ErrUnsupported, Msg: "not supported: " + fmt.Sprintf(format, a...)}
}

func mismatch(line int, format string, a ...any) *Error {
	return &Error{Line: line, Kind: ErrMismatch, Msg: fmt.Sprintf(format, a...)}
}
