package alink

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// wrongTimestamp is what most SDKs sign: 2050-01-01 in milliseconds.
const wrongTimestamp = "2524608000000"

// longestSearched bounds the client id, and with it the time an unauthenticated stranger can make us hash.
const longestSearched = 1024

// Diagnose looks for the mistake behind a password that does not match. It tries everything known to have
// gone wrong in the field, alone and in pairs. The length of a digest names its hash, so that the search
// stays within a few hundred HMACs (about 0.1 ms). It returns nil if the password is right.
func Diagnose(c ClientID, deviceName, productKey, secret, password string) *SignError {
	if Matches(c, deviceName, productKey, secret, password) {
		return nil
	}
	d := diagnosis{c: c, deviceName: deviceName, productKey: productKey, secret: secret, password: password}
	d.err = SignError{
		ProductKey: productKey,
		DeviceName: deviceName,
		Content:    SignContent(c.Prefix, deviceName, productKey, c.Timestamp, c.HasTimestamp),
		Method:     c.SignMethod,
	}
	d.run()
	d.err.Content = d.redact(d.err.Content)
	d.err.SignedContent = d.redact(d.err.SignedContent)
	return &d.err
}

// redact hides secrets that a device put where they do not belong, or where they do: consumer firmware
// carries a bind token in the client id.
func (d *diagnosis) redact(s string) string {
	if d.secret != "" {
		s = strings.ReplaceAll(s, d.secret, "[DeviceSecret]")
	}
	if token, _ := d.c.Get("token"); token != "" {
		s = strings.ReplaceAll(s, token, "[token]")
	}
	return s
}

type diagnosis struct {
	c                                        ClientID
	deviceName, productKey, secret, password string
	err                                      SignError
}

func (d *diagnosis) found(causes ...string) {
	d.err.Found = true
	d.err.Causes = append(d.err.Causes, causes...)
}

func (d *diagnosis) run() {
	switch {
	case d.secret == "":
		d.err.Causes = []string{"the server has no DeviceSecret for this device"}
		return
	case d.password == "":
		d.found("the password is empty")
		return
	case d.password == d.secret:
		d.found("the password is the DeviceSecret itself instead of an HMAC made with it: treat the secret as exposed")
		return
	case strings.HasPrefix(d.password, "clientId") && strings.Contains(d.password, "deviceName"):
		d.found("the password is the text to be signed instead of its HMAC")
		return
	}
	sum, encoding := decodeDigest(d.password)
	method, ok := signMethodOfLength(2 * len(sum))
	if !ok {
		d.notADigest()
		return
	}
	if !d.c.HasSignMethod {
		d.err.Method = method
	}
	if len(d.c.String()) > longestSearched {
		d.err.Causes = []string{"the password does not match, and a client id of " + strconv.Itoa(len(d.c.String())) +
			" bytes is too long to look for the reason; the cloud allows 64 before the first |"}
		return
	}
	if d.search(method, sum, encoding) || d.keyless(method, sum) {
		return
	}
	d.err.Causes = []string{"the password is a digest of " + method.String() + "'s length, but neither of the right text nor of any usual mistake: " +
		"compare the DeviceSecret in the device with the server's"}
	if d.c.HasSignMethod && method != d.c.SignMethod {
		d.err.Causes = append(d.err.Causes, "the client id says "+d.c.SignMethod.String())
	}
}

// decodeDigest returns the bytes a password stands for and what is wrong with the way it is written.
func decodeDigest(password string) (sum []byte, encoding string) {
	if sum, err := hex.DecodeString(password); err == nil {
		return sum, ""
	}
	if trimmed := strings.Trim(password, " \t\r\n\x00\"'"); trimmed != password {
		if sum, err := hex.DecodeString(trimmed); err == nil {
			return sum, "white space, quotes or a NUL surround the password"
		}
	}
	if bare := strings.NewReplacer(" ", "", ":", "", "-", "").Replace(strings.TrimPrefix(password, "0x")); bare != password {
		if sum, err := hex.DecodeString(bare); err == nil {
			return sum, "the password must be hex digits only, without 0x and separators"
		}
	}
	if sum, err := base64.StdEncoding.DecodeString(password); err == nil {
		return sum, "the password is written in base64, it must be hex"
	}
	return []byte(password), "the password is the digest's bytes, it must be their hex digits"
}

// notADigest explains a password of a length no method has.
func (d *diagnosis) notADigest() {
	// A buffer too small cuts the digits off. From 24 of them on this cannot be guessed; below, saying so
	// would let a stranger find the digest digit by digit.
	var want [sha256.Size]byte
	n := mac(d.c.SignMethod, d.secret, d.err.Content, &want)
	digits := hex.EncodeToString(want[:n])
	if len(d.password) >= 24 && len(d.password) < len(digits) && strings.EqualFold(d.password, digits[:len(d.password)]) {
		d.err.SignedContent, d.err.SignedMethod = d.err.Content, d.err.Method
		d.found("but it ends after " + strconv.Itoa(len(d.password)) + " of its " + strconv.Itoa(len(digits)) + " digits")
		return
	}
	d.err.Causes = []string{"the password has " + strconv.Itoa(len(d.password)) +
		" characters; hex of hmacmd5 has 32, of hmacsha1 40, of hmacsha256 64"}
}

// variant is one way to get a part of the signature, the first of each list being the right one.
type variant struct {
	value string
	cause string
}

// The arrangements of the signed text.
const (
	sorted = iota
	productFirst
	exchanged
	everything
	arrangements
)

var arrangementCauses = [arrangements]string{
	productFirst: "deviceName must come before productKey",
	exchanged:    "DeviceName and ProductKey are exchanged",
	everything:   "only clientId, deviceName, productKey and timestamp are signed, not the other parameters",
}

// search tries combinations of at most two mistakes, fewer first. The method counts as none: the digest's
// length gives it away.
func (d *diagnosis) search(method SignMethod, sum []byte, encoding string) bool {
	prefixes, labels, timestamps, keys := d.prefixes(), labelVariants, d.timestamps(), d.keys()
	var out [sha256.Size]byte
	var content []byte
	for faults := 0; faults <= 2; faults++ {
		for ip, prefix := range prefixes {
			for il, label := range labels {
				for it, timestamp := range timestamps {
					for ik, key := range keys {
						for arrangement := range arrangements {
							if count(ip, il, it, ik, arrangement) != faults {
								continue
							}
							content = d.arrange(content[:0], arrangement, label.value, prefix.value, timestamp.value)
							n := mac(method, key.value, content, &out)
							if !bytes.Equal(out[:n], sum) {
								continue
							}
							d.err.SignedContent, d.err.SignedMethod = string(content), method
							for _, cause := range []string{encoding, d.methodCause(method), prefix.cause, label.cause,
								timestamp.cause, key.cause, arrangementCauses[arrangement]} {
								if cause != "" {
									d.found(cause)
								}
							}
							return true
						}
					}
				}
			}
		}
	}
	return false
}

func count(choices ...int) (faults int) {
	for _, c := range choices {
		if c != 0 {
			faults++
		}
	}
	return faults
}

// arrange appends the text to be signed. timestamp is empty or includes its name.
func (d *diagnosis) arrange(dst []byte, arrangement int, label, prefix, timestamp string) []byte {
	dn, pk := d.deviceName, d.productKey
	if arrangement == everything {
		params := append(d.c.Params(), Param{label, prefix}, Param{"deviceName", dn}, Param{"productKey", pk})
		return append(dst, SortedContent(params)...)
	}
	dst = append(append(dst, label...), prefix...)
	switch arrangement {
	case exchanged:
		dn, pk = pk, dn
	case productFirst:
		dst = append(append(dst, "productKey"...), pk...)
		dst = append(append(dst, "deviceName"...), dn...)
		return append(dst, timestamp...)
	}
	dst = append(append(dst, "deviceName"...), dn...)
	dst = append(append(dst, "productKey"...), pk...)
	return append(dst, timestamp...)
}

func (d *diagnosis) methodCause(m SignMethod) string {
	switch {
	case !d.c.HasSignMethod || m == d.c.SignMethod:
		return ""
	default:
		return "the client id says " + d.c.SignMethod.String()
	}
}

var labelVariants = []variant{
	{"clientId", ""},
	{"ClientId", "the name clientId begins with a small c"},
	{"clientID", "the name clientId ends in a small d"},
	{"clientid", "the name clientId has a capital I"},
	{"mqttClientId", "the name is clientId"},
}

func (d *diagnosis) prefixes() []variant {
	c, dn, pk := d.c, d.deviceName, d.productKey
	list := []variant{{c.Prefix, ""}}
	add := func(value, cause string) {
		for _, v := range list {
			if v.value == value {
				return
			}
		}
		list = append(list, variant{value, cause})
	}
	add(c.String(), "only the client id before the first | is signed")
	for _, value := range []string{pk + "." + dn, pk + "&" + dn, dn + "." + pk, dn + "&" + pk, dn, pk, "", strings.TrimSpace(c.Prefix)} {
		add(value, "the client id before the first | is `"+printable(d.redact(c.Prefix))+"`")
	}
	return list
}

func (d *diagnosis) timestamps() []variant {
	if !d.c.HasTimestamp {
		return []variant{{"", ""}, {"timestamp" + wrongTimestamp, "the client id has no timestamp parameter, so none may be signed"},
			{"timestamp", "the client id has no timestamp parameter, so its name may not be signed"}}
	}
	list := []variant{{"timestamp" + d.c.Timestamp, ""}, {"", "the timestamp of the client id must be signed too"}}
	if d.c.Timestamp != wrongTimestamp {
		list = append(list, variant{"timestamp" + wrongTimestamp, "the timestamp signed is not the one in the client id"})
	}
	return list
}

func (d *diagnosis) keys() []variant {
	list := []variant{{d.secret, ""}}
	if raw, err := hex.DecodeString(d.secret); err == nil && len(raw) > 0 {
		list = append(list, variant{string(raw), "the key is the text of the DeviceSecret, not the bytes its hex digits stand for"})
	}
	if upper := strings.ToUpper(d.secret); upper != d.secret {
		list = append(list, variant{upper, "the DeviceSecret was turned into capitals"})
	}
	if lower := strings.ToLower(d.secret); lower != d.secret {
		list = append(list, variant{lower, "the DeviceSecret was turned into small letters"})
	}
	return append(list, variant{"", "the key was empty"})
}

// keyless recognises hashes that are no HMAC with the secret as its key.
func (d *diagnosis) keyless(method SignMethod, sum []byte) bool {
	var out [sha256.Size]byte
	content := d.err.Content
	hash := strings.TrimPrefix(method.String(), "hmac")
	n := mac(method, content, d.secret, &out)
	if bytes.Equal(out[:n], sum) {
		d.found("the password is an HMAC with key and text exchanged: the DeviceSecret is the key")
		return true
	}
	for _, try := range []variant{
		{content, "the password is the plain " + hash + " of the text; it must be an HMAC with the DeviceSecret as its key"},
		{content + d.secret, "the password is the plain " + hash + " of text and secret; it must be an HMAC with the DeviceSecret as its key"},
		{d.secret + content, "the password is the plain " + hash + " of secret and text; it must be an HMAC with the DeviceSecret as its key"},
	} {
		n := digest(method, []byte(try.value), &out)
		if bytes.Equal(out[:n], sum) {
			d.found(try.cause)
			return true
		}
	}
	return false
}
