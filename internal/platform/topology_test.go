package platform

import (
	"testing"

	"github.com/linkstead/linkstead/devjson"
)

func FuzzNamed(f *testing.F) {
	for _, text := range []string{`[{"productKey":"a","deviceName":"b"}]`, `{"productKey":"a","deviceName":"b"}`, `[{}]`, `[1]`, `"x"`, `{}`,
		`[{"productKey":1,"deviceName":null}]`, `[[{"productKey":"a","deviceName":"b"}]]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p devjson.Parser
		v, err := p.Parse([]byte(text))
		if err != nil {
			return
		}
		ids, ok := named(v, 3)
		if ok && (len(ids) == 0 || len(ids) > 3) {
			t.Fatalf("%d devices from %q", len(ids), text)
		}
		for _, id := range ids {
			if ok && (id.pk == "" || id.dn == "" || len(id.pk) > maxName || len(id.dn) > maxName) {
				t.Fatalf("%+v from %q", id, text)
			}
			if foundName(id.dn) && len(id.dn) > 32 {
				t.Fatalf("%q may be the name of a found device", id.dn)
			}
		}
	})
}
