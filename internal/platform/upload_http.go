package platform

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/transport"
)

// httpCode is a code of the HTTP door (spec/services.md §14).
type httpCode int

const (
	httpSuccess      httpCode = 0
	httpCommon       httpCode = 10000
	httpParameter    httpCode = 10001
	httpAuth         httpCode = 20000
	httpTokenExpired httpCode = 20001
	httpTokenMissing httpCode = 20002
	httpTokenInvalid httpCode = 20003
	httpSession      httpCode = 20004
	httpPublish      httpCode = 30001
	httpTooMany      httpCode = 40000
)

// maxUpload is the largest message, in bytes.
const maxUpload = 128 << 10

const (
	uploadTokenHeader  = "password" // literally
	contentJSON        = "application/json"
	contentOctetStream = "application/octet-stream"
)

func (c httpCode) message() string {
	switch c {
	case httpSuccess:
		return "success"
	case httpParameter:
		return "parameter error"
	case httpAuth:
		return "auth check error"
	case httpTokenExpired:
		return "token expired"
	case httpTokenMissing:
		return "token is null"
	case httpTokenInvalid:
		return "check token error"
	case httpSession:
		return "update session error"
	case httpPublish:
		return "publish message error"
	case httpTooMany:
		return "request too many"
	}
	return "common error"
}

// httpCodeOf is the code of a reason; session tells that it is of an /auth.
func httpCodeOf(w why, auth bool) httpCode {
	switch {
	case w == whyMalformed:
		return httpParameter
	case w == whyTooMany:
		return httpTooMany
	case w == whyBusy:
		return httpCommon
	case auth && w == whyFailed:
		return httpSession
	case auth:
		return httpAuth
	}
	return httpPublish
}

// writeAnswer writes {"code":…,"message":…} with info, which is JSON, if there is
// any. detail says more to people; devices look at the code.
func writeAnswer(w http.ResponseWriter, code httpCode, detail string, info []byte) {
	message := code.message()
	if detail != "" {
		message += ": " + clip(detail)
	}
	b := strconv.AppendInt([]byte(`{"code":`), int64(code), 10)
	b = devjson.AppendString(append(b, `,"message":`...), message)
	if info != nil {
		b = append(append(b, `,"info":`...), info...)
	}
	w.Header().Set("Content-Type", contentJSON)
	_, _ = w.Write(append(b, '}'))
}

// BodyLimit is the most that the body of a request may have: who shows a token that
// is good may send a message.
func (p *Platform) BodyLimit(r *http.Request) int {
	if !strings.HasPrefix(r.URL.Path, "/topic/") || r.TLS == nil {
		return 0
	}
	if x, _ := p.passes.find(r.Header.Get(uploadTokenHeader), p.now()); x == nil {
		return 0
	}
	return maxUpload
}

// hostOf is an address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// sent checks what every request of a device that uploads has to be.
func sent(r *http.Request, kind string) *turned {
	if r.Method != http.MethodPost {
		return turn(whyMalformed, "%s is not POST", clip(r.Method))
	}
	got, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(got), kind) {
		return turn(whyMalformed, "the Content-Type is %q instead of %s", clip(got), kind)
	}
	return nil
}

// insecure refuses what came in the clear: the token is as good as the secret.
func insecure(w http.ResponseWriter, r *http.Request) bool {
	if r.TLS != nil {
		return false
	}
	w.WriteHeader(http.StatusForbidden)
	writeAnswer(w, httpParameter, "use https", nil)
	return true
}

// authHTTP gives a device a token for its secret.
func (p *Platform) authHTTP(w http.ResponseWriter, r *http.Request) {
	if insecure(w, r) {
		return
	}
	x, err := p.authenticateHTTP(r)
	if err != nil {
		detail := ""
		if err.why == whyMalformed {
			detail = err.cause
		}
		writeAnswer(w, httpCodeOf(err.why, true), detail, nil)
		return
	}
	writeAnswer(w, httpSuccess, "", append(devjson.AppendString([]byte(`{"token":`), x.token), '}'))
}

func (p *Platform) authenticateHTTP(r *http.Request) (*pass, *turned) {
	malformed := func(c credentials, err *turned) (*pass, *turned) {
		p.turnedAway(doorHTTPS, r.RemoteAddr, c.dn+"&"+c.pk, c.clientID, err)
		return nil, err
	}
	if err := sent(r, contentJSON); err != nil {
		return malformed(credentials{}, err)
	}
	if r.ContentLength > maxAuth {
		return malformed(credentials{}, turn(whyMalformed, "the body has %d bytes; more than %d are not read", r.ContentLength, maxAuth))
	}
	body, problem := io.ReadAll(io.LimitReader(r.Body, maxAuth+1))
	if problem != nil {
		return malformed(credentials{}, turn(whyMalformed, "the body cannot be read: %v", problem))
	}
	c, err := readCredentials(body)
	if err == nil && c.hasSeq {
		err = turn(whyMalformed, "seq is a parameter of CoAP")
	}
	if err == nil {
		err = timely(c, p.now())
	}
	if err != nil {
		return malformed(c, err)
	}
	return p.enter(c, doorHTTPS, hostOf(r.RemoteAddr), r.RemoteAddr)
}

// timeWindow is how far the timestamp of an /auth may be off.
const timeWindow = 15 * time.Minute

// timely checks the timestamp, in milliseconds or, with ten digits, in seconds.
func timely(c credentials, now time.Time) *turned {
	if !c.hasTimestamp {
		return nil
	}
	n, err := strconv.ParseInt(c.timestamp, 10, 64)
	if err != nil {
		return turn(whyMalformed, "the timestamp %q is not a number", clip(c.timestamp))
	}
	at := time.UnixMilli(n)
	if len(c.timestamp) <= 10 {
		at = time.Unix(n, 0)
	}
	if off := now.Sub(at).Abs(); off > timeWindow {
		return turn(whyMalformed, "the timestamp %s is more than %s off; a device without a clock leaves it out", c.timestamp, timeWindow)
	}
	return nil
}

// uploadHTTP takes a message of a device that shows its token.
func (p *Platform) uploadHTTP(w http.ResponseWriter, r *http.Request) {
	if insecure(w, r) {
		return
	}
	token := r.Header.Get(uploadTokenHeader)
	x, expired := p.passes.find(token, p.now())
	switch {
	case token == "":
		writeAnswer(w, httpTokenMissing, "", nil)
		return
	case expired:
		writeAnswer(w, httpTokenExpired, "", nil)
		return
	case x == nil || x.door != doorHTTPS:
		writeAnswer(w, httpTokenInvalid, "", nil)
		return
	}
	up, err := p.takeHTTP(x, r)
	if err != nil {
		writeAnswer(w, httpCodeOf(err.why, false), err.cause, nil)
		return
	}
	info := strconv.AppendInt([]byte(`{"messageId":`), up.id, 10)
	if up.reply != nil {
		info = appendReplyData(append(info, `,"data":`...), up.reply)
	}
	writeAnswer(w, httpSuccess, "", append(info, '}'))
}

func (p *Platform) takeHTTP(x *pass, r *http.Request) (uploaded, *turned) {
	malformed := func(err *turned) (uploaded, *turned) {
		p.remarkPass(x, err)
		return uploaded{}, err
	}
	if err := sent(r, contentOctetStream); err != nil {
		return malformed(err)
	}
	if r.ContentLength > maxUpload {
		return malformed(turn(whyMalformed, "the message has %d bytes; %d are the most", r.ContentLength, maxUpload))
	}
	qos, query, err := uploadQuery(r.URL.RawQuery)
	if err != nil {
		return malformed(err)
	}
	body, problem := io.ReadAll(io.LimitReader(r.Body, maxUpload+1))
	if problem != nil || len(body) > maxUpload {
		return malformed(turn(whyMalformed, "the message cannot be read"))
	}
	return p.upload(r.Context(), x, strings.TrimPrefix(r.URL.Path, "/topic")+query, body, qos)
}

// uploadQuery reads the query of an upload: its QoS, and what belongs to the topic.
func uploadQuery(raw string) (qos byte, topic string, err *turned) {
	if len(raw) > 256 {
		return 0, "", turn(whyMalformed, "the query has more than 256 bytes")
	}
	q, problem := url.ParseQuery(raw)
	if problem != nil {
		return 0, "", turn(whyMalformed, "the query cannot be read: %v", problem)
	}
	switch q.Get("qos") {
	case "", "0":
	case "1":
		qos = 1
	default:
		return 0, "", turn(whyMalformed, "qos is %q instead of 0 or 1", clip(q.Get("qos")))
	}
	if sn := q.Get("_sn"); sn != "" { // spec/topics.md §10
		topic = "?_sn=" + sn
	}
	return qos, topic, nil
}

// appendReplyData appends a reply to a message: as it is if it is JSON, otherwise its
// bytes in base64 as a string.
func appendReplyData(dst, reply []byte) []byte {
	var parser devjson.Parser
	if _, err := parser.ParseStrict(reply); err == nil {
		return append(dst, reply...)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), reply)
	return append(dst, '"')
}

var _ transport.BodyLimiter = (*Platform)(nil)
