package platform

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/store"
)

// maxForm is the largest form of a device, in bytes.
const maxForm = 8 << 10

// maxRequest is the largest body that is looked at of who has not shown who he is.
const maxRequest = 16 << 10

// ServeHTTP answers the HTTP requests of devices: those before they connect
// (spec/connect.md §9.1, §11; spec/services.md §13), and messages of those that
// never do (§14). Replies are short: some devices have 256 bytes for them.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/auth":
		p.authHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/topic/"):
		p.uploadHTTP(w, r)
	case r.ContentLength > maxRequest:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		writeForm(w, alink.CodeParameter, nil, "the request is too large")
	case r.URL.Path == "/auth/register/device":
		p.form(w, r, p.registerHTTP)
	case r.URL.Path == "/auth/devicename":
		p.form(w, r, p.guide)
	case r.URL.Path == "/auth/bootstrap":
		p.form(w, r, p.bootstrapHTTP)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/auth/bootstrap/regionId/"):
		p.form(w, r, p.bootstrapRegion)
	default:
		w.WriteHeader(http.StatusNotFound)
		writeForm(w, alink.CodeNotFound, nil, "there is nothing at this path")
	}
}

// form reads a form and has it answered. Over plain TCP nothing is answered:
// replies hold secrets.
func (p *Platform) form(w http.ResponseWriter, r *http.Request, serve func(r *http.Request, f url.Values) (alink.Code, []byte, string)) {
	if r.TLS == nil {
		w.WriteHeader(http.StatusForbidden)
		writeForm(w, alink.CodeForbidden, nil, "use https")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		writeForm(w, alink.CodeParameter, nil, "")
		return
	}
	f, err := url.ParseQuery(strings.TrimRight(string(body), "\x00\r\n"))
	if err != nil || len(f) > 32 {
		writeForm(w, alink.CodeParameter, nil, "")
		return
	}
	code, data, detail := serve(r, f)
	if code != alink.CodeSuccess {
		p.refusals.add(Refusal{AtMS: p.now().UnixMilli(), Identity: clip(f.Get("deviceName") + "&" + f.Get("productKey")),
			ClientID: f.Get("clientId"), Remote: r.RemoteAddr, Transport: "https", Code: code.String(), Cause: r.URL.Path + ": " + detail})
		if p.noise.allow(p.now().Unix()) {
			p.logger.Warn("a device's HTTP request was refused", "path", r.URL.Path, "remote", r.RemoteAddr,
				"identity", clip(f.Get("deviceName")+"&"+f.Get("productKey")), "code", int(code), "cause", detail)
		}
	}
	writeForm(w, code, data, "")
}

// writeForm writes {"code":…,"data":…,"message":…}.
func writeForm(w http.ResponseWriter, code alink.Code, data []byte, message string) {
	if data == nil {
		data = []byte("{}")
	}
	if message == "" {
		message = code.Message()
	}
	b := append([]byte(nil), `{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(append(b, `,"data":`...), data...)
	b = append(b, `,"message":`...)
	b = append(devjson.AppendString(b, message), '}')
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

// names reads who a form is about.
func names(f url.Values) (pk, dn string, ok bool) {
	pk, dn = f.Get("productKey"), f.Get("deviceName")
	_, _, err := alink.ParseUsername(dn + "&" + pk)
	return pk, dn, err == nil && len(pk) <= maxName && len(dn) <= maxName
}

// registerHTTP gives a registered device its secret (spec/connect.md §11).
func (p *Platform) registerHTTP(r *http.Request, f url.Values) (alink.Code, []byte, string) {
	pk, dn, ok := names(f)
	random, sign := f.Get("random"), f.Get("sign")
	if !ok || random == "" || sign == "" {
		return alink.CodeParameter, nil, "productKey, deviceName, random and sign are needed"
	}
	method, err := alink.ParseSignMethod(f.Get("signMethod"))
	if err != nil {
		return alink.CodeSignMethodUnknown, nil, err.Error()
	}
	content := alink.SortedContent(params(f), "sign", "signMethod")
	short := alink.DynamicRegisterContent(dn, pk, random)
	_, code, cause := p.judgeRegistration(pk, dn, false, func(secret string) bool {
		return alink.MatchesContent(method, secret, content, sign) || alink.MatchesContent(method, secret, short, sign)
	})
	switch code {
	case alink.CodeSuccess:
	case alink.CodeRegisterSignInvalid:
		return code, nil, "the sign is not the " + method.String() + " of " + clip(short) + " under the ProductSecret"
	default:
		return code, nil, cause
	}
	secret, err := p.store.RevealSecret(p.ctx, pk, dn, "device "+pk+"/"+dn, "registration from "+r.RemoteAddr)
	if err != nil {
		p.storeFailed(err)
		return alink.CodeServer, nil, err.Error()
	}
	p.logger.Info("device registered", "productKey", pk, "deviceName", dn, "topic", r.URL.Path)
	data := append(registrationOf(pk, dn), `,"deviceSecret":`...)
	return alink.CodeSuccess, append(devjson.AppendString(data, secret), '}'), ""
}

func params(f url.Values) []alink.Param {
	var out []alink.Param
	for key, values := range f {
		out = append(out, alink.Param{Key: key, Value: values[0]})
	}
	return out
}

// iotTokenTime is how long the token of guide is valid.
const iotTokenTime = 7 * 24 * time.Hour

// guide authenticates a device with its secret and gives it an iotId and a token to
// log in with (spec/connect.md §9.1).
func (p *Platform) guide(r *http.Request, f url.Values) (alink.Code, []byte, string) {
	pk, dn, ok := names(f)
	if !ok || f.Get("sign") == "" {
		return alink.CodeParameter, nil, "productKey, deviceName and sign are needed"
	}
	method, err := alink.ParseSignMethod(f.Get("signmethod"))
	if err != nil {
		return alink.CodeSignMethodUnknown, nil, err.Error()
	}
	e, err := p.cachedEntry(pk, dn)
	switch {
	case KindOf(err) == KindNotFound && err != nil:
		return alink.CodeDeviceNotFound, nil, "there is no such device"
	case err != nil:
		p.storeFailed(err)
		return alink.CodeServer, nil, err.Error()
	}
	content := alink.SortedContent(params(f), "sign", "signmethod", "signMethod", "version", "resources")
	if !alink.MatchesContent(method, e.secret.Reveal(), content, f.Get("sign")) {
		return alink.CodeUnauthorized, nil, "the sign is not the " + method.String() + " of " + clip(content) + " under the DeviceSecret"
	}
	if !e.enabled {
		return alink.CodeDeviceDisabled, nil, "the device is disabled"
	}
	dev, err := p.store.Device(p.ctx, pk, dn)
	if err != nil {
		p.storeFailed(err)
		return alink.CodeServer, nil, err.Error()
	}
	_, token, err := p.store.NewToken(p.ctx, dev.ID, "iotToken", dev.IotID, p.now().Add(iotTokenTime))
	if err != nil {
		p.storeFailed(err)
		return alink.CodeServer, nil, err.Error()
	}
	return alink.CodeSuccess, p.resources(r, dev, token), ""
}

// resources says where a device is to connect: to the host that it has called this
// server by, and the port.
func (p *Platform) resources(r *http.Request, dev store.Device, token store.Secret) []byte {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "443"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		n = 443
	}
	b := []byte{'{'}
	if token != "" {
		b = append(b, `"iotId":`...)
		b = devjson.AppendString(b, dev.IotID)
		b = append(b, `,"iotToken":`...)
		b = append(devjson.AppendString(b, token.Reveal()), ',')
	}
	b = append(b, `"resources":{"mqtt":{"host":`...)
	b = devjson.AppendString(b, host)
	b = append(b, `,"port":`...)
	return append(strconv.AppendUint(b, n, 10), `}}}`...)
}

// bootstrapHTTP tells a device where to connect: here (spec/services.md §13).
func (p *Platform) bootstrapHTTP(r *http.Request, f url.Values) (alink.Code, []byte, string) {
	if _, _, ok := names(f); !ok {
		return alink.CodeParameter, nil, "productKey and deviceName are needed"
	}
	return alink.CodeSuccess, p.resources(r, store.Device{}, ""), ""
}

// bootstrapRegion is bootstrapHTTP for a device that asks for a region: there is one.
func (p *Platform) bootstrapRegion(r *http.Request, _ url.Values) (alink.Code, []byte, string) {
	return alink.CodeSuccess, p.resources(r, store.Device{}, ""), ""
}
