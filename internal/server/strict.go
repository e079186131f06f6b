package server

import (
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
)

// The cloud's limits of one device (spec/connect.md §13, §14), which device.strict
// brings into force.
const (
	cloudMinKeepAlive   = 30
	cloudMaxKeepAlive   = 1200
	cloudSubscriptions  = 100
	cloudPacket         = 256<<10 + 1024 // 256 KB of payload
	cloudTopicBytes     = 128
	cloudBytesPerSecond = 1 << 20
	cloudQoS0Rate       = 30 // messages a second; more are dropped
	cloudQoS1Rate       = 10
	cloudSubLogins      = 5 // of a sub-device in a minute
	cloudShadowRate     = 20
	cloudBroadcastEvery = time.Minute
)

// restrict narrows the profile of devices to the cloud's limits.
func restrict(p *broker.Profile) {
	p.MinKeepAlive, p.MaxKeepAlive = cloudMinKeepAlive, cloudMaxKeepAlive
	p.MaxSubscriptions = min(p.MaxSubscriptions, cloudSubscriptions)
	p.MaxPacket = min(p.MaxPacket, cloudPacket)
	p.MaxTopicBytes = narrower(p.MaxTopicBytes, cloudTopicBytes)
	p.PublishBytes = narrower(p.PublishBytes, cloudBytesPerSecond)
	p.LossyRates = [2]int{cloudQoS0Rate, cloudQoS1Rate}
}

// narrower is the cloud's limit, or the one that is set if it is smaller; 0 is none.
func narrower(set, cloud int) int {
	if set <= 0 {
		return cloud
	}
	return min(set, cloud)
}

func subLogins(cfg *config.Config) int {
	if cfg.Device.Strict {
		return min(cfg.Device.SubLogins, cloudSubLogins)
	}
	return cfg.Device.SubLogins
}

func shadowRate(cfg *config.Config) int {
	if cfg.Device.Strict {
		return narrower(cfg.Device.ShadowRate, cloudShadowRate)
	}
	return cfg.Device.ShadowRate
}

func broadcastEvery(cfg *config.Config) time.Duration {
	every := time.Duration(cfg.Device.BroadcastEvery)
	if cfg.Device.Strict {
		return max(every, cloudBroadcastEvery)
	}
	return every
}
