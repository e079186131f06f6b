// Package store keeps linkstead's records: products, devices and their secrets,
// thing models, tags, application users, the audit log, and the history of
// every property, event and service call.
//
// Records live in one SQLite database in Options.Dir (records.db and its
// write-ahead log), in a dialect that PostgreSQL speaks too. One process at a
// time may have a directory open; Open takes a lock to make sure.
//
// # Two ways to write
//
// Records of people (products, devices, models, users …) are written by plain
// methods that return when their transaction is as durable as
// Options.Durability says. Records of devices (history points, online and
// offline times) are handed over without waiting: Append and SetOnline return
// at once, a single writer commits everything that waits in one transaction,
// and Append's Done is told the outcome. Points wait for Options.Window at most,
// the times alone for a quarter of a second.
//
// # Secrets
//
// A DeviceSecret is an HMAC key and must be recoverable, so secrets are stored
// under AES-256-GCM with a key derived from Options.MasterKey. The key lives
// outside the database (LoadOrCreateKey) and the database alone reveals
// nothing; without the key it cannot be opened. Reading a secret for login
// (Credentials) is not audited; showing it to a person (RevealSecret) is, in
// the same transaction.
//
// # Caveats
//
// DurabilityOS survives a killed process but not a power cut; DurabilityMemory
// survives neither and may leave a damaged file. Only DurabilityDisk is
// durable.
//
// Of two points of one series with the same time, the one written last wins,
// wherever the two are stored.
package store
