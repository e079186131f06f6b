// Package alink is the vocabulary of the Alibaba Cloud IoT device protocol: who a device is and how it
// proves it, which topics exist and who may use them in which direction, what a message and its reply
// look like, and what the code numbers mean. It does no I/O and keeps no state.
//
// A device owns a Triple. The login a device derives from it, and the check a server makes of it:
//
//	login := triple.Login(alink.LoginOptions{Method: alink.HMACSHA256})
//
//	id, err := alink.ParseClientID(login.ClientID)
//	name, key, err := alink.ParseUsername(login.Username)
//	err = alink.Verify(id, name, key, secret, login.Password) // *SignError tells the exact cause
//
// A topic says what a message is; the method inside the message is decoration and often wrong:
//
//	t, ok := alink.ParseTopic("/sys/a1B2c3D4e5F/dev01/thing/event/property/post")
//	// t.Kind == alink.PropertyPost, t.Direction() == alink.Up, t.ReplyTopic() == "…/post_reply"
//
//	var d alink.Decoder
//	var r alink.Request
//	err = d.Request(payload, &r)
//	reply = alink.AppendReply(reply[:0], alink.CodeSuccess, nil, r.ID, "", t.Method(), "")
//
// # Caveats
//
//   - What a Decoder returns lives until its next call; a Topic shares memory with the text it was parsed
//     from. Copy what must last.
//   - A SignError is written for the owner of the device and for the log. Do not send its text to the
//     client that failed to log in.
package alink
