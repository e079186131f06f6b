package alink_test

import (
	"fmt"

	"github.com/linkstead/linkstead/alink"
)

func ExampleTriple_Login() {
	device := alink.Triple{ProductKey: "a1ji0qFv6Jf", DeviceName: "STC15", DeviceSecret: "bc0834e2beeb03d37eeb7361cc387918"}
	login := device.Login(alink.LoginOptions{Prefix: "10001", Method: alink.HMACSHA1})
	fmt.Println(login.ClientID)
	fmt.Println(login.Username)
	fmt.Println(login.Password)
	// Output:
	// 10001|securemode=3,signmethod=hmacsha1|
	// STC15&a1ji0qFv6Jf
	// 4756856f5bc65bbbabc7a826d73de282ff87090d
}

func ExampleVerify() {
	const secret = "bc0834e2beeb03d37eeb7361cc387918"
	id, _ := alink.ParseClientID("10001|securemode=3,signmethod=hmacsha1|")
	password := alink.Sign(alink.HMACMD5, secret, "clientId10001deviceNameSTC15productKeya1ji0qFv6Jf")
	fmt.Println(alink.Verify(id, "STC15", "a1ji0qFv6Jf", secret, password))
	// Output:
	// device STC15&a1ji0qFv6Jf: the password was signed over `clientId10001deviceNameSTC15productKeya1ji0qFv6Jf` with hmacmd5, the client id says hmacsha1
}

func ExampleParseTopic() {
	topic, ok := alink.ParseTopic("/sys/a1ji0qFv6Jf/STC15/thing/event/property/post")
	fmt.Println(ok, topic.Kind, topic.Direction(), topic.DeviceName)
	fmt.Println(topic.ReplyTopic())
	// Output:
	// true PropertyPost up STC15
	// /sys/a1ji0qFv6Jf/STC15/thing/event/property/post_reply
}

func ExampleAppendReply() {
	var d alink.Decoder
	var r alink.Request
	if err := d.Request([]byte(`{'id':17,'params':{'Temp':02}}`), &r); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(r.Params.AppendJSON(nil)))
	fmt.Println(string(alink.AppendReply(nil, alink.CodeSuccess, nil, r.ID, "", "thing.event.property.post", "")))
	// Output:
	// {"Temp":2}
	// {"code":200,"data":{},"id":"17","message":"success","method":"thing.event.property.post","version":"1.0"}
}
