package mqtt

import "bytes"

// explainSecretKeys are the JSON members whose values are secrets.
var explainSecretKeys = []string{`"deviceSecret"`, `"productSecret"`, `"deviceToken"`, `"iotToken"`}

// explainDigestDigits is the length from which a run of hex digits is taken
// for a password: the result of HMAC-MD5, the shortest one.
const explainDigestDigits = 32

// hide marks bytes as secret: they are masked wherever they are shown.
func (w *explainWalk) hide(from, to int) {
	if !w.o.ShowSecrets && from < to {
		w.secret = append(w.secret, explainSpan{from, to})
	}
}

// hideDigests hides long runs of hex digits.
func (w *explainWalk) hideDigests(from, to int) {
	start := from
	for i := from; i <= to; i++ {
		if i < to && explainHexDigit(w.b[i]) {
			continue
		}
		if i-start >= explainDigestDigits {
			w.hide(start, i)
		}
		start = i + 1
	}
}

// explainLogins is how the body of a CONNECT begins, up to the level.
var explainLogins = []string{"\x00\x04MQTT\x04", "\x00\x04MQTT\x05", "\x00\x04MQTT\x03", "\x00\x06MQIsdp\x03", "\x00\x06MQIsdp\x04"}

// hideLogin hides the body of a CONNECT, from byte from on, in a packet whose
// first byte says it is something else: there is no telling where its password
// is.
func (w *explainWalk) hideLogin(from int) {
	if Type(w.typ) == CONNECT || from > len(w.b) {
		return
	}
	for _, login := range explainLogins {
		if at := bytes.Index(w.b[from:], []byte(login)); at >= 0 {
			w.hide(from+at+len(login), len(w.b))
		}
	}
}

func explainHasDigest(s string) bool {
	run := 0
	for i := 0; i < len(s); i++ {
		run++
		if !explainHexDigit(s[i]) {
			run = 0
		}
		if run >= explainDigestDigits {
			return true
		}
	}
	return false
}

// hideMembers hides the values of secret members in a JSON text.
func (w *explainWalk) hideMembers(from, to int) {
	for _, key := range explainSecretKeys {
		for p := from; ; {
			k := bytes.Index(w.b[p:to], []byte(key))
			if k < 0 {
				break
			}
			p += k + len(key)
			for p < to && (w.b[p] == ' ' || w.b[p] == ':' || w.b[p] == '"') {
				p++
			}
			end := p
			for end < to && w.b[end] != '"' && w.b[end] != ',' && w.b[end] != '}' {
				end++
			}
			w.hide(p, end)
		}
	}
}

// clear returns the bytes of a range with its secrets replaced by stars.
func (w *explainWalk) clear(from, to int) []byte {
	out := w.b[from:to]
	copied := false
	for _, s := range w.secret {
		lo, hi := max(s.from, from), min(s.to, to)
		if lo >= hi {
			continue
		}
		if !copied {
			out, copied = bytes.Clone(out), true
		}
		for i := lo; i < hi; i++ {
			out[i-from] = '*'
		}
	}
	return out
}

// masked returns the bytes of note i, clipped and without secrets.
func (w *explainWalk) masked(i int) string {
	n := w.notes[i]
	return explainClip(string(w.clear(n.Offset, n.Offset+n.Length)))
}
