package script

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/stack"
)

// evalText evaluates an expression with a few TCP_INFO fields set.
func evalText(t *testing.T, text string) (value, error) {
	t.Helper()
	prog, err := parseCode(text, 1)
	require.NoError(t, err, text)
	require.Len(t, prog, 1)
	sc := &scope{r: &runner{vars: map[string]value{"x": integer(7)}}, info: &stack.TCPInfo{State: stack.StateEstablished, MSS: 1000, Cwnd: 10000}}
	return sc.eval(prog[0].x)
}

// TestScriptExpressions agrees with Python.
func TestScriptExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"1 + 2 * 3":                            "7",
		"(1 + 2) * 3":                          "9",
		"-7 // 2":                              "-4",
		"-7 % 3":                               "2",
		"7 / 2":                                "3.5",
		"2 ** 10":                              "1024",
		"-2 ** 2":                              "-4",
		"0x10 | 1":                             "17",
		"6 & 3":                                "2",
		"1 << 4":                               "16",
		"~0":                                   "-1",
		"990 <= 1000 <= 1010":                  "True",
		"990 <= 1011 <= 1010":                  "False",
		"1 < 2 and not 3 < 2":                  "True",
		"0 or 5":                               "5",
		"x in (5, 7)":                          "True",
		"x not in [5, 7]":                      "False",
		"abs(-3) + max(1, 5, 2) + min([4, 3])": "11",
		"int(3.9) + round(2.5)":                "5",
		"'a' + \"b\"":                          "ab",
		"'cwnd=%d of %d' % (3, 4)":             "cwnd=3 of 4",
		"tcpi_snd_cwnd == 10":                  "True",
		"tcpi_state == TCP_ESTABLISHED":        "True",
		"(tcpi_options & TCPI_OPT_SACK) == 0":  "True",
		"1.5 == 3 / 2":                         "True",
		"1 if x > 5 else 2":                    "1",
		"len((1, 2, 3))":                       "3",
		"'b' in 'abc'":                         "True",
		"None == None":                         "True",
		"True + True":                          "2",
		"hex(255)":                             "0xff",
	} {
		v, err := evalText(t, text)
		require.NoError(t, err, text)
		require.Equal(t, want, v.String(), text)
	}
}

// TestScriptExpressionErrors says what is wrong with an expression.
func TestScriptExpressionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"1 / 0":      "division by zero",
		"1 % 0":      "division by zero",
		"nothing":    "the name nothing",
		"foo(1)":     "the function foo",
		"'a' - 1":    "of strings",
		"(1, 2) < 3": "not numbers",
		"1 << 99":    "shift by 99",
		"1.5 | 1":    "floating point",
		"abs()":      "without arguments",
	} {
		_, err := evalText(t, text)
		require.ErrorContains(t, err, want, text)
	}
}

// TestScriptCode keeps variables between snippets, prints, and tells what failed.
func TestScriptCode(t *testing.T) {
	res, err := runText(t, `
 0 %{
   # a comment
   a = 1
   a += 2; b = (a +
       1)
   print(a, b)
   if a == 3: print("three")
   if a == 4: print("four")
 }%
+1 %{ assert a == 3, a; assert b == 4 }%
+0 %{ assert a * 2 == b, "a is %d" % a }%`, Options{})
	require.ErrorIs(t, err, ErrMismatch)
	require.Equal(t, []string{"3 4", "three"}, res.Output)
	require.ErrorContains(t, err, ":12: assertion failed: (a * 2) == b: a is 3")
	require.Contains(t, err.(*Error).Diff(), "a = 3, b = 4")
}
