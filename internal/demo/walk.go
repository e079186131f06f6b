package demo

import (
	"context"
	"fmt"
)

// Steps are what the walk needs from the server's side and tells its reader.
type Steps struct {
	// Say announces the next step.
	Say func(format string, args ...any)
	// SetLight sets Light to 1 with CommandID and returns when the command has been
	// sent.
	SetLight func(ctx context.Context) error
}

// Walk runs the device through the note's session, byte for byte, and leaves it
// logged in and subscribed. The error names the first byte that was not as it has
// to be.
func Walk(ctx context.Context, d *Device, s Steps) error {
	exchange := func(frame []byte, what string, want []byte) error {
		if err := d.Send(frame); err != nil {
			return err
		}
		return d.Expect(what, want)
	}
	s.Say("The device logs in with its triple (HMAC-SHA1 of clientId, deviceName and productKey)")
	if err := exchange(Connect, "CONNACK", Connack); err != nil {
		return err
	}
	s.Say("It subscribes to its commands; the platform grants QoS 1 whatever is asked for")
	if err := exchange(Subscribe, "SUBACK", Suback); err != nil {
		return err
	}
	s.Say("It posts Temp, Hum and Gas at QoS 0; the reply comes without a subscription")
	if err := exchange(Post, "the reply to the post", Publish(TopicPost+"_reply", PostReply)); err != nil {
		return err
	}
	s.Say("It publishes to a topic of its own at QoS 1; PUBACK says that the message was taken")
	if err := exchange(User, "PUBACK", Puback); err != nil {
		return err
	}
	s.Say("It repeats the message (first byte 3A: DUP), as it does when a PUBACK is lost")
	if err := exchange(UserAgain, "the second PUBACK", Puback); err != nil {
		return err
	}
	s.Say("The server side sets Light=1 with message id %s", CommandID)
	if err := s.SetLight(ctx); err != nil {
		return fmt.Errorf("setting Light failed: %w", err)
	}
	if err := d.Expect("the command", Command); err != nil {
		return err
	}
	s.Say("That was the note's frame, byte for byte (%d bytes). The device confirms and reports its new state", len(Command))
	if err := d.Send(Publish(TopicSet+"_reply", `{"id":"`+CommandID+`","code":200,"data":{}}`)); err != nil {
		return err
	}
	if err := exchange(Publish(TopicPost, `{"id":"18","version":"1.0","params":{"Light":1},"method":"thing.event.property.post"}`),
		"the reply to the post", Publish(TopicPost+"_reply",
			`{"code":200,"data":{},"id":"18","message":"success","method":"thing.event.property.post","version":"1.0"}`)); err != nil {
		return err
	}
	s.Say("It shows that it is alive")
	return exchange(Ping, "PINGRESP", Pong)
}
