// Command linkstead is a home server for devices that speak the Alibaba Cloud IoT protocol, on top of a
// complete MQTT 3.1.1 and 5.0 server, and the tools that go with it.
//
// Run "linkstead help" for the commands. Some work on a running server, and find it by themselves on the
// same machine; sign, frame and explain need no server at all.
//
// Every command takes --json and ends with one of the documented exit codes:
//
//	0  done
//	1  failed, or the answer is no
//	2  called wrongly
//	3  what was named does not exist
//	4  the server cannot be reached
//	5  the device, or the server on its behalf, refused or did not answer in time
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
