package affinity

import (
	"flag"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestParseMask(t *testing.T) {
	for text, want := range map[string]string{
		"0xf":                              "0-3",
		"F":                                "0-3",
		"0X10f":                            "0-3,8",
		" 5\n":                             "0,2",
		"0":                                "",
		"0x0":                              "",
		"00000000000000000000000000000001": "0",
		"1,00000000":                       "32",
		"ff,00000000,80000001":             "0,31,64-71",
		"0x1,00000001":                     "0,32",
		"8" + strings.Repeat("0", 255):     "1023",
		"0" + strings.Repeat("f", 256):     "0-1023",
	} {
		got, err := ParseMask(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
	}
	for _, text := range []string{
		"", " ", "0x", "x1", "0xg", "-1", "1 2", "1,2", "1,0000000", "123456789,00000000", ",", ",00000001",
		"00000001,", "1,,00000001", "0x0x1", "1_0", "+1", "1,0x000001",
	} {
		_, err := ParseMask(text)
		require.ErrorIs(t, err, ErrSyntax, "%q", text)
	}
	for _, text := range []string{"1" + strings.Repeat("0", 256), "0x1," + strings.Repeat("00000000,", 31) + "00000000"} {
		_, err := ParseMask(text)
		require.ErrorIs(t, err, ErrRange, "%q", text)
	}
}

func TestParseList(t *testing.T) {
	for text, want := range map[string]string{
		"0":            "0",
		"0-3,8":        "0-3,8",
		"8,0-3":        "0-3,8",
		"1,1,1":        "1",
		"0-5,2-7":      "0-7",
		"3-3":          "3",
		"1,2,4":        "1-2,4",
		"007":          "7",
		" 0-1\n":       "0-1",
		"":             "",
		"\n":           "",
		"63-64,1023":   "63-64,1023",
		"0-1023":       "0-1023",
		"5,3,1,0,2,64": "0-3,5,64",
	} {
		got, err := ParseList(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
	}
	for _, text := range []string{
		",", "1,", ",1", "1,,2", "-", "1-", "-1", "1-2-3", "3-1", "a", "0x1", "1 2", "1, 2", "1 -2", "+1", "1.0", "0-7:1/2", "١",
	} {
		_, err := ParseList(text)
		require.ErrorIs(t, err, ErrSyntax, "%q", text)
	}
	for _, text := range []string{"1024", "0-1024", "99999999999999999999", "0-99999999999999999999"} {
		_, err := ParseList(text)
		require.ErrorIs(t, err, ErrRange, "%q", text)
	}
}

func TestMaskText(t *testing.T) {
	for text, want := range map[string]string{
		"":        "0x0",
		"0":       "0x1",
		"0-3,8":   "0x10f",
		"64":      "0x10000000000000000",
		"0,68":    "0x100000000000000001",
		"60-67":   "0xff000000000000000",
		"127,128": "0x180000000000000000000000000000000",
	} {
		require.Equal(t, want, list(t, text).Mask(), text)
	}
}

// TestFlags parses command lines as programs of both libraries do.
func TestFlags(t *testing.T) {
	parsers := map[string]func(cores *Set, args ...string) error{
		"pflag": func(cores *Set, args ...string) error {
			f := pflag.NewFlagSet("test", pflag.ContinueOnError)
			f.Var((*MaskFlag)(cores), "coremask", "")
			f.Var((*ListFlag)(cores), "cores", "")
			return f.Parse(args)
		},
		"flag": func(cores *Set, args ...string) error {
			f := flag.NewFlagSet("test", flag.ContinueOnError)
			f.SetOutput(&strings.Builder{})
			f.Var((*MaskFlag)(cores), "coremask", "")
			f.Var((*ListFlag)(cores), "cores", "")
			return f.Parse(args)
		},
	}
	for name, parse := range parsers {
		t.Run(name, func(t *testing.T) {
			cores := list(t, "1")
			require.NoError(t, parse(&cores))
			require.Equal(t, "1", cores.String(), "the default stays")
			require.NoError(t, parse(&cores, "--coremask", "0x30"))
			require.Equal(t, "4-5", cores.String())
			require.NoError(t, parse(&cores, "--cores=0-2,9"))
			require.Equal(t, "0-2,9", cores.String())
			require.NoError(t, parse(&cores, "--cores=3", "--coremask=0x3", "--cores=7"))
			require.Equal(t, "7", cores.String(), "the last one counts")
			require.ErrorContains(t, parse(&cores, "--cores", "2-1"), "range")
			require.Error(t, parse(&cores, "--coremask", "0xz"))
			require.Equal(t, "7", cores.String(), "an error changes nothing")
		})
	}
}

func TestFlagUsage(t *testing.T) {
	cores := list(t, "0-3")
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Var((*MaskFlag)(&cores), "coremask", "cores to use")
	f.Var((*ListFlag)(&cores), "cores", "cores to use")
	require.Contains(t, f.FlagUsages(), "--coremask coremask   cores to use (default 0xf)")
	require.Contains(t, f.FlagUsages(), "--cores corelist      cores to use (default 0-3)")

	// A flag without default prints none; the library asks a zero value.
	var m *MaskFlag
	var l *ListFlag
	require.Empty(t, m.String())
	require.Empty(t, l.String())
	require.Empty(t, new(MaskFlag).String())
	require.Empty(t, new(ListFlag).String())
}
