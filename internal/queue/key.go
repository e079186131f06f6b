package queue

import (
	"encoding/binary"
	"math"
)

// SessionID names a persistent session in the store for as long as its record
// lives. It is given out by [Log.NextSessionID] and never reused.
type SessionID uint64

// Seq is the place of a message in its session's queue. The engine assigns it,
// starting at 1 and increasing.
type Seq uint64

// RetainedID names the retained message of a topic for as long as the topic has
// one. The engine assigns them: from 1, increasing, so that of two messages that a
// crash has left under one topic the later is known. 0 is a message that lies under
// its topic, as all did before format 2.
type RetainedID uint64

// Keys sort as follows; numbers are big-endian so that byte order is number
// order. What a session owns lies together, so that Clear is one range:
//
//	'm' name                       meta values (format, next session)
//	'q' session 0x00 packet-id     a QoS 2 message half received
//	'q' session 0x01 seq           a message
//	'r' 0x00 retained-id           a retained message
//	'r' topic                      a retained message of format 1
//	's' session                    a session record
const (
	keyMeta     = 'm'
	keyQueue    = 'q'
	keyRetained = 'r'
	keySession  = 's'

	kindReceived = 0x00
	kindMessage  = 0x01
	kindEnd      = 0x02

	sessionKeyLen  = 1 + 8
	receivedKeyLen = 1 + 8 + 1 + 2
	messageKeyLen  = 1 + 8 + 1 + 8
	retainedKeyLen = 1 + 1 + 8
)

var (
	metaFormat      = []byte("mformat")
	metaNextSession = []byte("mnext-session")
)

func appendSessionKey(b []byte, sid SessionID) []byte {
	return binary.BigEndian.AppendUint64(append(b, keySession), uint64(sid))
}

// Retained messages do not lie in the order of their topics: that order nobody asks
// the disk for, and new topics would come all over it, which costs the memtable a
// search each and has every table overlap, so that compactions write all of it
// again. No topic begins with 0x00 ([MQTT-1.5.4-2]).
func appendRetainedKey(b []byte, id RetainedID, topic string) []byte {
	if id == 0 {
		return append(append(b, keyRetained), topic...)
	}
	return binary.BigEndian.AppendUint64(append(b, keyRetained, 0), uint64(id))
}

func retainedKeySize(id RetainedID, topic string) int {
	if id == 0 {
		return 1 + len(topic)
	}
	return retainedKeyLen
}

// retainedOf reads what appendRetainedKey wrote: the identifier, or the topic.
func retainedOf(key []byte) (id RetainedID, topic string) {
	if len(key) == retainedKeyLen && key[1] == 0 {
		return RetainedID(binary.BigEndian.Uint64(key[2:])), ""
	}
	return 0, string(key[1:])
}

func appendQueueKey(b []byte, sid SessionID, kind byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, keyQueue), uint64(sid)), kind)
}

func appendMessageKey(b []byte, sid SessionID, seq Seq) []byte {
	return binary.BigEndian.AppendUint64(appendQueueKey(b, sid, kindMessage), uint64(seq))
}

func appendReceivedKey(b []byte, sid SessionID, packetID uint16) []byte {
	return binary.BigEndian.AppendUint16(appendQueueKey(b, sid, kindReceived), packetID)
}

// messageBounds are the keys of the messages after a place: lower included,
// upper not. ok is false where nothing can lie there.
func messageBounds(sid SessionID, after Seq) (lower, upper []byte, ok bool) {
	if after == math.MaxUint64 {
		return nil, nil, false
	}
	return appendMessageKey(make([]byte, 0, messageKeyLen), sid, after+1),
		appendQueueKey(make([]byte, 0, messageKeyLen), sid, kindEnd), true
}

// keySeq reads the place out of a message key.
func keySeq(key []byte) (Seq, bool) {
	if len(key) != messageKeyLen {
		return 0, false
	}
	return Seq(binary.BigEndian.Uint64(key[messageKeyLen-8:])), true
}
