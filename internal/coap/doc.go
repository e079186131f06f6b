// Package coap brings the CoAP requests of devices (RFC 7252) from UDP and DTLS
// sockets to a handler and its answers back: reading and writing packets, giving a
// repeated packet the answer that the first one got, and the limits that keep a flood
// from costing more than a fixed amount of memory. It knows nothing of devices.
//
// What is not here: requests of the server to a device, observation, and transfers
// in blocks. Devices of this protocol use none of them.
package coap
