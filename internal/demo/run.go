package demo

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var lightSet = regexp.MustCompile(`"params":\{"Light":([01])\}`)
var messageID = regexp.MustCompile(`"id":"([0-9]+)"`)

// Run keeps the device alive after Walk until ctx ends or the connection breaks: it
// reports slowly changing values every interval, and obeys Light commands the way
// the 8-bit program does, by looking for their text.
func Run(ctx context.Context, d *Device, interval time.Duration) error {
	stop := context.AfterFunc(ctx, func() { _ = d.Close() })
	defer stop()
	failed := make(chan error, 1)
	go func() {
		for {
			frame, err := d.Receive(0)
			if err != nil {
				failed <- err
				return
			}
			if frame[0] != 0x30 {
				continue
			}
			light := lightSet.FindSubmatch(frame)
			id := messageID.FindSubmatch(frame)
			if light == nil || id == nil {
				continue
			}
			if err := d.Send(Publish(TopicSet+"_reply", fmt.Sprintf(`{"id":"%s","code":200,"data":{}}`, id[1]))); err != nil {
				failed <- err
				return
			}
			if err := d.Send(Publish(TopicPost, fmt.Sprintf(`{"id":"1","version":"1.0","params":{"Light":%s},"method":"thing.event.property.post"}`, light[1]))); err != nil {
				failed <- err
				return
			}
		}
	}()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 19; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-ticker.C:
		}
		step := n % 24
		if step > 12 {
			step = 24 - step
		}
		post := `{"id":"` + strconv.Itoa(n) + `","version":"1.0","params":{"Temp": ` + strconv.Itoa(18+step/2) +
			`,"Hum": ` + strconv.Itoa(40+step) + `,"Gas": ` + strconv.Itoa(5+step%4) + `},"method":"thing.event.property.post"}`
		if err := d.Send(Publish(TopicPost, post)); err != nil {
			return err
		}
		if err := d.Send(Ping); err != nil {
			return err
		}
	}
}
