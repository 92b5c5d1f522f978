package tap

// Frames for the tests of package tap_test.
var (
	Build = build
	Load  = load
)
