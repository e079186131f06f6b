package mqtt

import (
	"fmt"
	"strings"
)

// What follows reads the conventions of the Alibaba Cloud IoT login and its
// topics out of plain MQTT strings.

// explainSecureModes says what the securemode parameter stands for.
var explainSecureModes = map[string]string{
	"2": "TLS", "3": "plain TCP", "-1": "credentials from the HTTPS login", "-2": "no pre-registration",
}

// explainDigests is the length in hex digits of each signing method's result.
var explainDigests = map[string]int{"hmacmd5": 32, "hmacsha1": 40, "hmacsha256": 64}

// aliyunClientID splits "{prefix}|{key}={value},…|".
func (w *explainWalk) aliyunClientID(i int, id []byte) {
	s := string(id)
	bar := strings.IndexByte(s, '|')
	off := w.notes[i].Offset
	if w.guard {
		// Whatever stands after the parameters may be the password.
		from := min(off+23, off+len(id))
		if bar >= 0 {
			from = off + strings.LastIndexByte(s, '|') + 1
		}
		w.hide(from, off+len(id))
		w.notes[i].Value = w.quote(off, off+len(id))
	}
	w.placeholder(i, s)
	if bar < 0 {
		if strings.Contains(s, "securemode=") || strings.Contains(s, "signmethod=") {
			w.aliyun = true
			expected := "{clientId}|securemode=3,signmethod=hmacsha1|"
			if from := explainParameters(s); from > 0 && !w.guard && !explainHasDigest(s) {
				expected = explainClip(s[:from] + "|" + s[from:] + "|")
			}
			w.raise(i, SeverityWarning, off, "", "the login parameters are not set apart: a bar goes before and after them", expected)
		}
		return
	}
	w.aliyun = true
	last := strings.LastIndexByte(s, '|')
	w.detail(i, "client id prefix: \"%s\" (this part is signed)", explainClip(s[:bar]))
	params := s[bar+1:]
	if last > bar {
		params = s[bar+1 : last]
		if last != len(s)-1 {
			w.raise(i, SeverityWarning, off+last+1, "", fmt.Sprintf("%s after the closing bar", explainBytes(len(s)-1-last)), "the closing bar at the end")
		}
	} else {
		at := off + len(id)
		n := len(id) + 1
		problem := "the closing bar | is missing"
		expected := fmt.Sprintf("7C here, %02X %02X (%d) as the length of the client identifier, and a remaining length 1 higher", n>>8&0xff, n&0xff, n)
		if at == w.pos && w.left() > 0 && w.b[at] == '|' && len(id) < MaxStringLength {
			problem = "the closing bar stands right after it: the length is one too small"
			expected = fmt.Sprintf("length %02X %02X (%d)", n>>8, n&0xff, n)
		}
		w.raise(i, SeverityWarning, at, "", problem, expected)
		if w.guard {
			return // the password may be among what is taken for parameters
		}
	}
	seen := map[string]bool{}
	for n, p := range strings.Split(params, ",") {
		if n == 32 {
			w.detail(i, "…")
			break
		}
		key, value, found := strings.Cut(p, "=")
		if p == "" {
			continue
		}
		if !found {
			w.raise(i, SeverityWarning, off+bar+1, "", fmt.Sprintf("parameter %q has no value", explainClip(p)), explainClip(p)+"=…")
			continue
		}
		seen[key] = true
		w.aliyunParameter(i, key, value)
	}
	if !seen["securemode"] {
		w.raise(i, SeverityWarning, off+bar, "", "the parameter securemode is missing", "securemode=2 (TLS) or securemode=3 (plain TCP)")
	}
	if w.signMethod == "" && !seen["authType"] && seen["securemode"] {
		w.detail(i, "no signmethod: hmacmd5 is assumed")
	}
}

// explainParameters returns where the login parameters begin in s, -1 if there
// are none.
func explainParameters(s string) int {
	at := -1
	for _, key := range []string{"securemode=", "signmethod=", "timestamp="} {
		if p := strings.Index(s, key); p >= 0 && (at < 0 || p < at) {
			at = p
		}
	}
	return at
}

func (w *explainWalk) aliyunParameter(i int, key, value string) {
	switch key {
	case "securemode":
		if text := explainSecureModes[value]; text != "" {
			w.detail(i, "securemode = %s (%s)", value, text)
			return
		}
	case "signmethod":
		method := strings.ToLower(value)
		if n := explainDigests[method]; n > 0 {
			w.signMethod = method
			w.detail(i, "signmethod = %s (a password of %d hex digits)", value, n)
			return
		}
		w.raise(i, SeverityWarning, w.notes[i].Offset, "", fmt.Sprintf("unknown signmethod %q", explainClip(value)), "hmacsha1, hmacsha256 or hmacmd5")
		return
	case "timestamp":
		w.detail(i, "timestamp = %s (signed)", explainClip(value))
		return
	case "token", "_uuid":
		if !w.o.ShowSecrets {
			w.detail(i, "%s = (masked)", key)
			return
		}
	}
	if !w.o.ShowSecrets && explainHasDigest(value) {
		w.detail(i, "%s = (masked)", explainClip(key))
		return
	}
	w.detail(i, "%s = %s", explainClip(key), explainClip(value))
}

// userName splits "{DeviceName}&{ProductKey}".
func (w *explainWalk) userName(i int, user []byte) {
	s := string(user)
	off := w.notes[i].Offset
	name, key, found := strings.Cut(s, "&")
	if w.guard {
		from := off
		if found {
			n := 0
			for n < len(key) && n < 20 && explainAlnum(key[n]) {
				n++
			}
			from = off + len(name) + 1 + n
			key = key[:n]
		}
		w.hide(from, off+len(user))
		w.notes[i].Value = w.quote(off, off+len(user))
	}
	w.placeholder(i, s)
	if !w.aliyun {
		return
	}
	if !found {
		if len(user) > 0 && w.signMethod != "" {
			w.raise(i, SeverityWarning, off, "", "no & in the user name", "{DeviceName}&{ProductKey}")
		}
		return
	}
	w.detail(i, "DeviceName: %s", explainClip(name))
	w.detail(i, "ProductKey: %s", explainClip(key))
	if explainLikeProductKey(name) && !explainLikeProductKey(key) {
		w.raise(i, SeverityWarning, off, "", "the part before the & looks like a ProductKey: are the two swapped?", explainClip(key)+"&"+explainClip(name))
	}
}

// password masks the password and checks that it has the form of a signature.
func (w *explainWalk) password(i int, p []byte) {
	off := w.notes[i].Offset
	w.hide(off, off+len(p))
	value := explainBytes(len(p)) + ", masked"
	if w.o.ShowSecrets {
		value = w.quote(off, off+len(p))
	}
	w.notes[i].Value = value
	want := explainDigests[w.signMethod]
	if want == 0 {
		return
	}
	for k, c := range p {
		if !explainHexDigit(c) {
			problem := fmt.Sprintf("the password of a %s login is hex digits", w.signMethod)
			if explainHasPrefix(p, "clientId") {
				problem += "; this is the text to be signed, not the signature"
				k = 0
			} else if len(p)*2 == want {
				problem += "; are these the bytes of the digest, not their hex digits?"
			}
			w.raise(i, SeverityWarning, off+k, "", problem, fmt.Sprintf("%d hex digits", want))
			return
		}
	}
	if len(p) != want {
		problem := fmt.Sprintf("%s gives %d hex digits, the password has %d", w.signMethod, want, len(p))
		for method, n := range explainDigests {
			if n == len(p) {
				problem += ", as " + method + " gives"
			}
		}
		w.warn(i, problem, fmt.Sprintf("%d hex digits", want))
		return
	}
	w.detail(i, "%d hex digits, as %s gives", want, w.signMethod)
}

// placeholder warns of a template that was sent unfilled.
func (w *explainWalk) placeholder(i int, s string) {
	for _, mark := range []string{"${", "￥{", "¥{", "{{"} {
		if p := strings.Index(s, mark); p >= 0 {
			w.raise(i, SeverityWarning, w.notes[i].Offset+p, "", "a placeholder was sent instead of its value", "the value it stands for")
			return
		}
	}
}

// explainAlinkRoots are the first levels of the platform's own topics.
var explainAlinkRoots = []string{"sys/", "ota/", "ext/", "shadow/", "broadcast/"}

// alinkTopic raises what the Alibaba platform would not accept in a topic.
func (w *explainWalk) alinkTopic(i int, s string) {
	w.placeholder(i, s)
	off := w.notes[i].Offset
	if p := strings.IndexByte(s, ' '); p >= 0 {
		w.raise(i, SeverityWarning, off+p, "", "a blank inside the topic", "the topic without it")
	}
	if s == "" || s[0] == '/' {
		return
	}
	for _, root := range explainAlinkRoots {
		if strings.HasPrefix(s, root) {
			w.warn(i, "the leading slash is missing: the platform's topics begin with one", "/"+explainClip(s))
			return
		}
	}
	if levels := strings.SplitN(s, "/", 4); len(levels) == 4 && levels[2] == "user" && explainLikeProductKey(levels[0]) {
		w.warn(i, "the leading slash is missing: the platform's topics begin with one", "/"+explainClip(s))
	}
}

// explainLikeProductKey reports whether s looks like a ProductKey of today:
// eleven letters and digits.
func explainLikeProductKey(s string) bool {
	if len(s) != 11 {
		return false
	}
	letters, digits := 0, 0
	for k := 0; k < len(s); k++ {
		if !explainAlnum(s[k]) {
			return false
		}
		if s[k] <= '9' {
			digits++
		} else {
			letters++
		}
	}
	return letters > 0 && digits > 0
}

// explainAlinkMethod returns the method an Alink request on the topic carries,
// or "".
func explainAlinkMethod(topic string) string {
	levels := strings.Split(topic, "/")
	if len(levels) < 6 || levels[0] != "" || levels[1] != "sys" || levels[4] != "thing" {
		return ""
	}
	if last := levels[len(levels)-1]; strings.HasSuffix(last, "_reply") || strings.Contains(last, "raw") {
		return ""
	}
	if levels[5] != "event" && levels[5] != "service" {
		return ""
	}
	return strings.Join(levels[4:], ".")
}

func explainAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func explainHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
