package platform

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// Dynamic registration over MQTT (spec/connect.md §10): a device that has its
// product's secret only logs in with it, gets its own secret (authType=register)
// or, if nobody has registered it, a client id and a token (regnwl), and logs in
// with those.

// registrationTime is how long a connection for registration may stay.
const registrationTime = 15 * time.Second

// registration is the principal of such a connection.
type registration struct {
	key     string
	pk, dn  string
	topic   string // where it gets what it came for
	payload []byte
}

// Publish, Subscribe and Receive allow nothing: the connection is for registration
// and for nothing else.
func (*registration) Publish(string) broker.Decision { return broker.Deny }

// Subscribe allows nothing.
func (*registration) Subscribe(string) bool { return false }

// Receive allows nothing.
func (*registration) Receive(string) bool { return false }

// loginRegister checks the login of a device that wants to be registered.
func (p *Platform) loginRegister(r *broker.LoginRequest, id alink.ClientID, pk, dn string, done func(*broker.Admission, *broker.Refusal)) {
	identity := dn + "&" + pk
	refuse := func(code mqtt.ReasonCode, cause string) {
		done(nil, &broker.Refusal{Code: code, Identity: identity, Cause: cause})
	}
	switch {
	case !r.Kind.Secure():
		refuse(mqtt.ClientIdentifierNotValid, "the device asks for dynamic registration without TLS; its secret would travel in the clear")
		return
	case id.Random() == "":
		refuse(mqtt.ClientIdentifierNotValid, "the client id has authType="+id.AuthType+" but no random=…, which is signed")
		return
	case !r.HasPassword:
		refuse(mqtt.BadUserNameOrPassword, "the CONNECT has no password; it is the HMAC of "+alink.DynamicRegisterContent(dn, pk, id.Random())+" under the ProductSecret")
		return
	}
	queued := later(p.lookup, func() { done(p.register(r, id, pk, dn)) })
	if !queued {
		done(nil, busy(identity))
	}
}

// register does what the device asks for before it is admitted, so that a refusal
// can say why. It may block.
func (p *Platform) register(r *broker.LoginRequest, id alink.ClientID, pk, dn string) (*broker.Admission, *broker.Refusal) {
	refusal := &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: dn + "&" + pk}
	fail := func(code alink.Code, what string) (*broker.Admission, *broker.Refusal) {
		switch code {
		case alink.CodeServer, alink.CodeBusy:
			refusal.Code = mqtt.ServerUnavailable
		case alink.CodeDeviceDisabled:
			refusal.Code = mqtt.NotAuthorized
		case alink.CodeDeviceNameInvalid:
			refusal.Code = mqtt.ClientIdentifierNotValid
		}
		refusal.Cause = what
		return nil, refusal
	}
	anew := id.AuthType == "regnwl"
	content := alink.DynamicRegisterContent(dn, pk, id.Random())
	dev, code, cause := p.judgeRegistration(pk, dn, anew, func(secret string) bool {
		return alink.MatchesContent(id.SignMethod, secret, content, string(r.Password))
	})
	if code != alink.CodeSuccess {
		if code == alink.CodeRegisterSignInvalid {
			cause = fmt.Sprintf("the password is not the %s of %s under the ProductSecret of %s", id.SignMethod, clip(content), pk)
		}
		return fail(code, cause)
	}
	var b [8]byte
	rand.Read(b[:])
	g := &registration{key: "r:" + hex.EncodeToString(b[:]), pk: pk, dn: dn}
	if anew {
		t, token, err := p.store.NewToken(p.ctx, dev.ID, id.Prefix, "", time.Time{})
		switch {
		case errors.Is(err, store.ErrLimit):
			return fail(alink.CodeFailed, fmt.Sprintf("%d units have registered as %s already; let them log in with what they got, or make that void: linkstead device reset %s/%s",
				store.MaxTokens, dn, pk, dn))
		case err != nil:
			p.storeFailed(err)
			return fail(alink.CodeServer, "the token could not be stored: "+err.Error())
		}
		g.topic = alink.Topic{Kind: alink.ExtRegnwl}.String()
		g.payload = append(registrationOf(pk, dn), `,"clientId":`...)
		g.payload = devjson.AppendString(g.payload, t.ClientID)
		g.payload = append(g.payload, `,"deviceToken":`...)
		g.payload = append(devjson.AppendString(g.payload, token.Reveal()), '}')
		p.audit(p.ctx, "device "+pk+"/"+dn, "device.token.create", pk+"/"+dn, "registration from "+r.Remote.String())
	} else {
		secret, err := p.store.RevealSecret(p.ctx, pk, dn, "device "+pk+"/"+dn, "registration from "+r.Remote.String())
		if err != nil {
			p.storeFailed(err)
			return fail(alink.CodeServer, "the secret could not be read: "+err.Error())
		}
		g.topic = alink.Topic{Kind: alink.ExtRegister}.String()
		g.payload = append(registrationOf(pk, dn), `,"deviceSecret":`...)
		g.payload = append(devjson.AppendString(g.payload, secret), '}')
	}
	return &broker.Admission{Key: g.key, Owner: g.key, Profile: &p.settings.Load().registering, Rights: g, Principal: g}, nil
}

func registrationOf(pk, dn string) []byte {
	b := append([]byte(nil), `{"productKey":`...)
	b = devjson.AppendString(b, pk)
	b = append(b, `,"deviceName":`...)
	return devjson.AppendString(b, dn)
}

// registered sends a device what it has registered for, on its own connection.
func (p *Platform) registered(g *registration) {
	p.broker.Publish(broker.Message{Topic: g.topic, Payload: g.payload, To: g.key, Publisher: "platform"}, nil)
	p.logger.Info("device registered", "productKey", g.pk, "deviceName", g.dn, "topic", g.topic)
}

// judgeRegistration says whether a device may register itself with its product's
// secret, and creates it if it may do without having been registered. anew is
// registration for a token, which units without a registration ask for. signed
// checks the request against the ProductSecret.
func (p *Platform) judgeRegistration(pk, dn string, anew bool, signed func(secret string) bool) (dev store.Device, code alink.Code, cause string) {
	keys, err := p.store.ProductKeys(p.ctx, pk)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return dev, alink.CodeProductNotFound, fmt.Sprintf("there is no product %s; create it: linkstead product create %s", pk, pk)
	case err != nil:
		p.storeFailed(err)
		return dev, alink.CodeServer, "the product could not be looked up: " + err.Error()
	case !signed(keys.Secret.Reveal()):
		return dev, alink.CodeRegisterSignInvalid, ""
	case !keys.DynamicRegister:
		return dev, alink.CodeRegisterOff, fmt.Sprintf("dynamic registration is off; allow it: linkstead product update %s --dynamic-register", pk)
	case anew && !keys.AutoRegister:
		return dev, alink.CodeRegisterOff, fmt.Sprintf("registration without pre-registration is off; allow it: linkstead product update %s --auto-register", pk)
	}
	dev, code = p.registrable(pk, dn, anew)
	switch code {
	case alink.CodeSuccess:
	case alink.CodeDeviceNotFound:
		return dev, code, fmt.Sprintf("there is no device %s in product %s; create it: linkstead device create %s/%s", dn, pk, pk, dn)
	case alink.CodeDeviceNameInvalid:
		return dev, code, fmt.Sprintf("%s cannot be the name of a new device: it has 4 to 32 letters, digits and -_@.:", clip(dn))
	default:
		return dev, code, "the device could not be looked up or created"
	}
	if !dev.Enabled {
		return dev, alink.CodeDeviceDisabled, fmt.Sprintf("the device is disabled; enable it: linkstead device enable %s/%s", pk, dn)
	}
	if !dev.ActivatedAt.IsZero() {
		// Units that share a name by their tokens may become more.
		if n, err := p.store.CountTokens(p.ctx, dev.ID); !anew || err != nil || n == 0 {
			return dev, alink.CodeAlreadyActive, fmt.Sprintf("the device has been online already and cannot register again; allow it once more: linkstead device reset %s/%s", pk, dn)
		}
	}
	return dev, alink.CodeSuccess, ""
}

// registrable returns the device that wants to be registered with its product's
// secret. One that does not exist is created if auto is set.
func (p *Platform) registrable(pk, dn string, auto bool) (store.Device, alink.Code) {
	dev, err := p.store.Device(p.ctx, pk, dn)
	if errors.Is(err, store.ErrNotFound) {
		if !auto {
			return dev, alink.CodeDeviceNotFound
		}
		if !alink.ValidDeviceName(dn) {
			return dev, alink.CodeDeviceNameInvalid
		}
		var r store.Registered
		if r, err = p.store.CreateDevice(p.ctx, store.NewDevice{ProductKey: pk, Name: dn}); err == nil {
			p.changed(pk, dn)
			p.audit(p.ctx, "device "+pk+"/"+dn, "device.create", pk+"/"+dn, "with the product's secret")
			return r.Device, alink.CodeSuccess
		}
		if errors.Is(err, store.ErrExists) { // another request was quicker
			dev, err = p.store.Device(p.ctx, pk, dn)
		}
	}
	if err != nil {
		p.storeFailed(err)
		return dev, alink.CodeServer
	}
	return dev, alink.CodeSuccess
}
