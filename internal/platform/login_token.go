package platform

import (
	"errors"
	"fmt"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// loginToken checks the login of a device with what a registration without
// pre-registration gave it (authType=connwl, spec/connect.md §9.3): the client id
// names the token and the password is it.
//
// Each unit that shares the name so is connected beside the others; a login of the
// same unit takes its own connection over. A gateway is connected once: its
// sub-devices belong to one connection.
func (p *Platform) loginToken(r *broker.LoginRequest, id alink.ClientID, pk, dn string, done func(*broker.Admission, *broker.Refusal)) {
	p.byToken(r, id, id.Prefix, dn+"&"+pk, func(d store.Device) string {
		if d.ProductKey == pk && d.Name == dn {
			return ""
		}
		return "the token is that of another device than the user name names"
	}, "register the device again, or allow it: linkstead device reset "+clip(pk+"/"+dn), true, done)
}

// loginGuided checks the login of a device with what /auth/devicename gave it
// (securemode=-1, spec/connect.md §9.1): the user name is its iotId, the password
// its iotToken.
func (p *Platform) loginGuided(r *broker.LoginRequest, id alink.ClientID, done func(*broker.Admission, *broker.Refusal)) {
	p.byToken(r, id, r.Username, r.Username, func(store.Device) string { return "" },
		"let the device authenticate again: POST /auth/devicename", false, done)
}

func (p *Platform) byToken(r *broker.LoginRequest, id alink.ClientID, clientID, identity string, fits func(store.Device) string, hint string, units bool, done func(*broker.Admission, *broker.Refusal)) {
	identity = clip(identity)
	refuse := func(cause string) {
		done(nil, &broker.Refusal{Code: mqtt.BadUserNameOrPassword, Identity: identity, Cause: cause})
	}
	if !r.HasPassword || len(r.Password) == 0 {
		refuse("the CONNECT has no password; it is the token")
		return
	}
	queued := later(p.lookup, func() {
		d, holder, err := p.store.CheckToken(p.ctx, clientID, string(r.Password))
		var e *deviceEntry
		if err == nil {
			if why := fits(d); why != "" {
				refuse(why)
				return
			}
			e, err = p.cachedEntry(d.ProductKey, d.Name)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			refuse("there is no such token, or its time is over; " + hint)
			return
		case err != nil:
			p.logger.Error("a token could not be looked up", "identity", identity, "error", err)
			done(nil, &broker.Refusal{Code: mqtt.ServerUnavailable, Identity: identity, Cause: "the token could not be looked up: " + err.Error()})
			return
		}
		a, why := p.admit(e, d.ProductKey, d.Name, id.Ext())
		if why == nil && units && !isGateway(a.Principal) {
			a.Key = broker.UnitKey(a.Key, holder)
		}
		done(a, why)
	})
	if !queued {
		done(nil, busy(identity))
	}
}

// admit lets a device in whose identity is proven.
func (p *Platform) admit(e *deviceEntry, pk, dn string, ext int) (*broker.Admission, *broker.Refusal) {
	if !e.enabled {
		return nil, &broker.Refusal{Code: mqtt.NotAuthorized, Identity: dn + "&" + pk,
			Cause: fmt.Sprintf("the device is disabled; enable it: linkstead device enable %s/%s", pk, dn)}
	}
	d := newDevice(e, pk, dn, ext, p.now())
	s := p.settings.Load()
	profile := &s.Device
	if d.strict = s.Strict; d.strict {
		if ok, _ := p.connects.Take(d.key, p.now().UnixNano()); !ok {
			return nil, &broker.Refusal{Code: mqtt.ConnectionRateExceeded, Identity: dn + "&" + pk,
				Cause: fmt.Sprintf("the device has logged in more than %d times in a minute; the cloud takes no more (setting device.strict)", cloudConnects)}
		}
		if d.subs != nil {
			profile = &s.gateway
		}
	}
	return &broker.Admission{Key: d.key, Owner: d.key, Profile: profile, Rights: d, Principal: d}, nil
}
