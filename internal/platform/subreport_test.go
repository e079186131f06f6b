package platform_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A gateway reports for the sub-devices it has logged in, in one message, all or none.
func TestSubDeviceReports(t *testing.T) {
	s := gatewayHome(t, 2, nil)
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	pack, history := g.own("thing/event/property/pack/post"), g.own("thing/event/property/history/post")
	identity := func(dn string) string {
		return `"identity":{"productKey":"` + subKey + `","deviceName":"` + dn + `"}`
	}
	g.ask(pack, `{"id":"1","params":{"properties":{},"events":{},"subDevices":[{`+identity("sub001")+`,"properties":{"Temp":{"value":21}},"events":{"GasAlarm":{"value":{"Gas":7,"Level":1}}}}]}}`,
		`{"code":200,"data":{},"id":"1","message":"success","method":"thing.event.property.pack.post","version":"1.0"}`)
	// One that it has not logged in fails all, as does a value that does not fit.
	g.code(pack, `{"id":"2","params":{"subDevices":[{`+identity("sub001")+`,"properties":{"Temp":22}},{`+identity("sub002")+`,"properties":{"Temp":22}}]}}`, 6401)
	g.code(pack, `{"id":"3","params":{"subDevices":[{`+identity("sub001")+`,"properties":{"Temp":22,"Nothing":1}}]}}`, 6304)
	earlier := time.Now().Add(-time.Hour).UnixMilli()
	g.code(history, fmt.Sprintf(`{"id":"4","params":[{%s,"properties":[{"Temp":{"value":19,"time":%d}}]}]}`, identity("sub001"), earlier), 200)
	g.code(history, fmt.Sprintf(`{"id":"5","params":[{%s,"properties":[{"Temp":{"value":19,"time":%d}}]}]}`, identity("sub002"), earlier), 6401)
	values, err := s.Platform.LatestProperties(t.Context(), subKey, "sub001")
	if err != nil || len(values) != 1 || string(values[0].Value) != "21" {
		t.Errorf("stored %v, %v", values, err)
	}
	if values, err := s.Platform.LatestProperties(t.Context(), subKey, "sub002"); err != nil || len(values) != 0 {
		t.Errorf("stored of the other %v, %v", values, err)
	}
}

// What waits for a sub-device comes when its gateway logs it in.
func TestSubDeviceDesired(t *testing.T) {
	s := gatewayHome(t, 1, nil)
	if _, err := s.Platform.SetDesired(t.Context(), "test", subKey, "sub001", json.RawMessage(`{"Light":1}`), nil); err != nil {
		t.Fatal(err)
	}
	g := loginGateway(t, s, "gateway1")
	g.loginSub("sub001")
	if m := g.await(subTopic("sub001", "thing/service/property/set")); !strings.Contains(m.payload, `"params":{"Light":1}`) {
		t.Errorf("told %s", m.payload)
	}
}
