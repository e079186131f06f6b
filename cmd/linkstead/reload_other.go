//go:build !unix

package main

import "os"

// notifyReload does nothing: there is no SIGHUP on this system.
func notifyReload(chan<- os.Signal) {}
