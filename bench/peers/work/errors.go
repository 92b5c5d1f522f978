package work

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNA is what errors of NA match: the system has no such work.
	ErrNA = errors.New("not available")
	// ErrMissing is what errors of Missing match: it could, were this machine,
	// this user or this build another.
	ErrMissing = errors.New("missing here")
)

// NA is the error of a system that can't do a work, with the reason.
func NA(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNA, fmt.Sprintf(format, args...))
}

// Missing is the error of a system that lacks something on this machine.
func Missing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMissing, fmt.Sprintf(format, args...))
}

// Again makes the text of an error of NA or Missing, whose kind this is, an
// error that matches kind.
func Again(kind error, text string) error {
	return fmt.Errorf("%w: %s", kind, strings.TrimPrefix(text, kind.Error()+": "))
}
