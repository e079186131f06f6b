package platform

import (
	"errors"
	"fmt"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// loginDevice checks the login of a device with its triple (spec/connect.md §6,
// §16). A device that is in memory is decided at once.
func (p *Platform) loginDevice(r *broker.LoginRequest, done func(*broker.Admission, *broker.Refusal)) {
	id, err := alink.ParseClientID(r.ClientID)
	if err != nil {
		done(nil, &broker.Refusal{Code: mqtt.ClientIdentifierNotValid, Identity: clip(r.Username), Cause: err.Error()})
		return
	}
	dn, pk, err := alink.ParseUsername(r.Username)
	if err != nil {
		done(nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: clip(r.Username), Cause: err.Error()})
		return
	}
	identity := dn + "&" + pk
	switch id.AuthType {
	case "register", "regnwl":
		p.loginRegister(r, id, pk, dn, done)
		return
	case "connwl":
		p.loginToken(r, id, pk, dn, done)
		return
	}
	if why := misguided(id, identity); why != nil {
		done(nil, why)
		return
	}
	// A 5.0 device is told the nearest keep-alive that is allowed (Profile.MinKeepAlive).
	if p.settings.Load().Strict && r.Version != mqtt.V5 && (r.KeepAlive < 30 || r.KeepAlive > 1200) {
		done(nil, &broker.Refusal{Code: mqtt.ClientIdentifierNotValid, Identity: identity,
			Cause: fmt.Sprintf("keep-alive is %d s; the cloud takes 30 to 1200 s (setting device.strict)", r.KeepAlive)})
		return
	}
	if e, ok := p.devices.GetIfPresent(DeviceKey(pk, dn)); ok && r.HasPassword && alink.Matches(id, dn, pk, e.secret.Reveal(), string(r.Password)) {
		done(p.checkDevice(r, id, e, pk, dn))
		return
	}
	// Everything that takes longer happens on a worker: reading the device, or
	// looking for what a refused one did wrong.
	queued := later(p.lookup, func() {
		e, err := p.cachedEntry(pk, dn)
		switch {
		case err == nil:
			done(p.checkDevice(r, id, e, pk, dn))
		case errors.Is(err, store.ErrNotFound):
			done(nil, p.unknownDevice(pk, dn))
		default:
			p.logger.Error("a device could not be looked up", "productKey", pk, "deviceName", dn, "error", err)
			done(nil, &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: identity, Cause: "the device could not be looked up: " + err.Error()})
		}
	})
	if !queued {
		done(nil, busy(identity))
	}
}

// misguided names the login kinds that need another user name or client id.
func misguided(id alink.ClientID, identity string) *broker.Refusal {
	switch id.SecureMode {
	case "-1":
		return &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: identity,
			Cause: "the device logs in with a token of the HTTPS authentication (securemode=-1); then the user name is its iotId, and not {deviceName}&{productKey}"}
	case "-2":
		return &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: identity,
			Cause: "the device claims a login without pre-registration (securemode=-2), but its client id has neither authType=regnwl nor authType=connwl"}
	}
	return nil
}

func (p *Platform) unknownDevice(pk, dn string) *broker.Refusal {
	cause := fmt.Sprintf("there is no device %s in product %s; create it: linkstead device create %s/%s", dn, pk, pk, dn)
	if _, err := p.store.Product(p.ctx, pk); errors.Is(err, store.ErrNotFound) {
		cause = fmt.Sprintf("there is no product %s; create it: linkstead product create --key %s", pk, pk)
		if _, err := p.store.Product(p.ctx, dn); err == nil {
			cause = fmt.Sprintf("there is no product %s, but %s is one: the user name is {deviceName}&{productKey}, not the other way round", pk, dn)
		}
	}
	return &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: dn + "&" + pk, Cause: cause}
}

// checkDevice compares the password.
func (p *Platform) checkDevice(r *broker.LoginRequest, id alink.ClientID, e *deviceEntry, pk, dn string) (*broker.Admission, *broker.Refusal) {
	identity := dn + "&" + pk
	if !r.HasPassword || !alink.Matches(id, dn, pk, e.secret.Reveal(), string(r.Password)) {
		cause := "the CONNECT has no password"
		if r.HasPassword {
			cause = p.diagnose(id, dn, pk, e.secret.Reveal(), string(r.Password))
		}
		return nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: identity, Cause: cause}
	}
	return p.admit(e, pk, dn, id.Ext())
}

// diagnosesAtOnce bounds the search for a device's mistake, a few hundred HMACs
// each, when many are refused at the same time.
var diagnosesAtOnce = make(chan struct{}, 2)

func (p *Platform) diagnose(id alink.ClientID, dn, pk, secret, password string) string {
	select {
	case diagnosesAtOnce <- struct{}{}:
		defer func() { <-diagnosesAtOnce }()
		return alink.Diagnose(id, dn, pk, secret, password).Error()
	default:
		return "the password does not match the secret (too many refusals at the moment to look for the mistake)"
	}
}
