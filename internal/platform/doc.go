// Package platform is what devices find behind their system topics, and who may
// log in at all: the authority and the handler of the MQTT engine (package
// broker), and the operations that people and programs manage devices with.
//
// Each service that answers devices is one file: property.go, event.go,
// command.go, ntp.go, tag.go, template.go. Handle parses the topic once and goes
// to the service; what must be stored is handed to the store's commit batch, and
// the reply leaves when that is on disk.
//
// Methods of the authority and the handler run on event loops and never block;
// management methods take a context and may.
package platform
