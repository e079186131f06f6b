package mqtt_test

import (
	"fmt"

	"github.com/linkstead/linkstead/mqtt"
)

// A SUBACK whose failure code has its digits swapped.
func ExampleExplain() {
	b, err := mqtt.ParseHex("90 03 00 0A 08")
	if err != nil {
		fmt.Println(err)
		return
	}
	e := mqtt.Explain(b, mqtt.ExplainOptions{})
	for _, n := range e.Problems() {
		fmt.Printf("%s, byte %d, %s: expected %s [%s]\n", e.Name, n.At, n.Field, n.Expected, n.Clause)
	}
	fmt.Print(e)
	// Output:
	// SUBACK, byte 4, return code 1: expected 80 [MQTT-3.9.3-2]
	// SUBACK (MQTT 3.1.1, server to client, 5 bytes): 1 error
	//      0  90                       packet type        SUBACK
	//      1  03                       remaining length   3
	//      2  00 0A                    packet identifier  10
	//      4  08                       return code 1      reserved
	//         ^ ERROR at byte 4 (08): 08 is a reserved return code; the failure code is 80: are the digits swapped?
	//           should be: 80
	//           rule: [MQTT-3.9.3-2]
}
