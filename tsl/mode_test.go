package tsl_test

import (
	"testing"

	"github.com/linkstead/linkstead/tsl"
)

func TestModeText(t *testing.T) {
	var zero tsl.Mode
	if zero != tsl.Weak {
		t.Error("the zero Mode is not Weak")
	}
	for _, mode := range []tsl.Mode{tsl.Weak, tsl.Strong, tsl.None} {
		text, err := mode.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back tsl.Mode
		if err := back.UnmarshalText(text); err != nil || back != mode {
			t.Errorf("%s comes back as %v, %v", text, back, err)
		}
	}
	if mode, err := tsl.ParseMode(""); mode != tsl.Weak || err != nil {
		t.Errorf("ParseMode of nothing: %v, %v", mode, err)
	}
	back := tsl.Strong
	err := back.UnmarshalText([]byte("STRONG"))
	if err == nil || err.Error() != `validation mode "STRONG": should be weak, strong or none` || back != tsl.Strong {
		t.Errorf("UnmarshalText of STRONG: %v, mode now %v", err, back)
	}
}
