// Package admin is the HTTP API that people and scripts manage a server with:
// products, devices, thing models, commands to devices, users, and the live view
// of what devices and the server say to each other. The command line is built on
// it (see internal/admin/client).
//
// Every request carries the bearer token of the server's data directory. Without
// admin_remote the API answers only to names of this machine, so that a web page
// in a browser cannot reach it under a name of its own (DNS rebinding).
//
// Requests and answers are JSON documents; lists are pages. An error is
//
//	{"error": {"code": "not_found", "message": "…", "hint": "…"}}
//
// with the HTTP status that goes with its code (see statusOf). Times are Unix
// milliseconds. A device is /v1/devices/{productKey}/{deviceName}.
package admin
