package tsl_test

import (
	"fmt"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

func ExampleModel_EachProperty() {
	m, err := tsl.Parse([]byte(`{"properties":[
		{"identifier":"Temp","name":"Temperature","accessMode":"r",
		 "dataType":{"type":"int","specs":{"min":"-40","max":"125","unit":"°C"}}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var parser devjson.Parser
	params, err := parser.Parse([]byte(`{"Temp":{"value":6,"time":1524448722000},"Fan":1}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	const serverTime = 1524448723000
	err = m.EachProperty(params, tsl.Strong, serverTime,
		func(id string, p *tsl.Property, v devjson.Value, timeMS int64, problem *tsl.Problem) bool {
			if problem != nil {
				fmt.Println(problem)
				return true
			}
			fmt.Printf("%s = %s at %d\n", p.Name, p.Type.AppendValue(nil, v), timeMS)
			return true
		})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// Temperature = 6 at 1524448722000
	// tsl parse: params not exist (code 6304): Fan: the thing model has no such property
}

func ExampleParse_mistakes() {
	_, err := tsl.Parse([]byte(`{"properties":[
		{"identifier":"time","accessMode":"r","dataType":{"type":"int","specs":{"min":"cold"}}}]}`))
	fmt.Println(err)
	// Output:
	// thing model: 2 mistakes
	//   properties[0].identifier: is the reserved word "time"; should be 1 to 50 letters, digits or underscores and not set, get, post, time or value
	//   properties[0].dataType.specs.min: is "cold"; should be an integer of 32 bits
}
