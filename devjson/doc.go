// Package devjson reads JSON the way devices write it.
//
// Firmware builds its messages with sprintf, so what arrives is JSON in spirit: a number with a
// leading zero, strings in single quotes because the message travelled inside an AT command, a
// NUL because somebody sent sizeof instead of strlen. The cloud reads all of it, therefore so does
// Parse; ParseStrict accepts RFC 8259 only, and Relaxed tells afterwards which of the two was needed.
//
//	var p devjson.Parser
//	v, err := p.Parse(payload)
//	if err != nil { … }              // *SyntaxError: byte offset and what was expected there
//	v.Get("params").Each(func(key string, v devjson.Value) bool { … })
//
// A Parser is meant to be kept: one for each worker. It copies the input into a buffer of its own and
// lays the document out as a flat list of nodes in it, so that a message costs no allocation once the
// buffers have grown to their working size.
//
// # What the relaxed reader accepts beyond JSON
//
//   - a UTF-8 byte order mark before the value, NUL bytes after it
//   - strings and keys in single quotes, and \' inside them
//   - keys without quotes: letters, digits, _ $ - . and anything beyond ASCII
//   - a comma before } or ]
//   - numbers with leading zeros: 02 is 2, never octal
//   - control characters inside strings
//   - bytes that are not UTF-8, read as U+FFFD each
//
// Everything else that is not JSON is refused: NaN, Infinity, comments, hexadecimal, a bare word as a
// value, anything after the value.
//
// # Caveats
//
//   - Values, and the strings taken from them, live until the next Parse of the same Parser. A Value kept
//     longer reads as absent; a string kept longer shows other text. Copy what must last.
//   - When a key occurs twice, Get returns the last one, as the cloud's parser does. Each visits both.
//   - Documents are limited to MaxSize bytes and MaxDepth levels.
package devjson
