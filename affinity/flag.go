package affinity

// MaskFlag is a Set as the value of a command line flag that takes a mask. It
// implements the Value interfaces of flag and of github.com/spf13/pflag:
//
//	var cores affinity.Set
//	flags.Var((*affinity.MaskFlag)(&cores), "coremask", "cores to use, as a mask")
//	flags.Var((*affinity.ListFlag)(&cores), "cores", "cores to use, as a list")
//
// What the set holds before parsing is the default. A flag given twice, or
// both flags, leave the set as the last one says.
type MaskFlag Set

// String is the mask; "" if the set is empty, as a flag without default has.
func (f *MaskFlag) String() string {
	if f == nil || Set(*f).IsEmpty() {
		return ""
	}
	return Set(*f).Mask()
}

// Set parses text with ParseMask. The set is unchanged after an error.
func (f *MaskFlag) Set(text string) error {
	s, err := ParseMask(text)
	if err != nil {
		return err
	}
	*f = MaskFlag(s)
	return nil
}

// Type is what usage texts call the argument.
func (f *MaskFlag) Type() string { return "coremask" }

// ListFlag is a Set as the value of a command line flag that takes a list; see
// MaskFlag.
type ListFlag Set

// String is the list; "" if the set is empty.
func (f *ListFlag) String() string {
	if f == nil {
		return ""
	}
	return Set(*f).String()
}

// Set parses text with ParseList. The set is unchanged after an error.
func (f *ListFlag) Set(text string) error {
	s, err := ParseList(text)
	if err != nil {
		return err
	}
	*f = ListFlag(s)
	return nil
}

// Type is what usage texts call the argument.
func (f *ListFlag) Type() string { return "corelist" }
