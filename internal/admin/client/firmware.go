package client

import (
	"context"
	"io"
	"strconv"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/platform"
)

func id(n int64) string { return strconv.FormatInt(n, 10) }

// AddFirmware uploads a package from r.
func (c *Client) AddFirmware(ctx context.Context, in platform.Firmware, r io.Reader) (out platform.Firmware, err error) {
	err = c.call(ctx, "POST", query(path("products", in.ProductKey, "firmware"), "version", in.Version, "module", in.Module,
		"source", in.SourceVersion, "sign", in.SignMethod, "udi", in.UDI), r, &out)
	return out, err
}

// Firmware returns the packages of a product, newest first.
func (c *Client) Firmware(ctx context.Context, pk string) ([]platform.Firmware, error) {
	var out struct {
		Firmware []platform.Firmware `json:"firmware"`
	}
	err := c.call(ctx, "GET", path("products", pk, "firmware"), nil, &out)
	return out.Firmware, err
}

// DeleteFirmware removes a package with its jobs.
func (c *Client) DeleteFirmware(ctx context.Context, n int64) error {
	return c.call(ctx, "DELETE", path("firmware", id(n)), nil, nil)
}

// StartUpgrade makes an upgrade job.
func (c *Client) StartUpgrade(ctx context.Context, in platform.UpgradeJob) (out admin.UpgradeStarted, err error) {
	err = c.call(ctx, "POST", path("upgrades"), in, &out)
	return out, err
}

// Upgrades returns the upgrade jobs of a product, newest first.
func (c *Client) Upgrades(ctx context.Context, pk string) ([]platform.UpgradeSummary, error) {
	var out struct {
		Upgrades []platform.UpgradeSummary `json:"upgrades"`
	}
	err := c.call(ctx, "GET", path("products", pk, "upgrades"), nil, &out)
	return out.Upgrades, err
}

// UpgradeTasks returns the devices of a job behind task after.
func (c *Client) UpgradeTasks(ctx context.Context, job, after int64, limit int) ([]platform.UpgradeTask, error) {
	var out struct {
		Tasks []platform.UpgradeTask `json:"tasks"`
	}
	from := ""
	if after > 0 {
		from = id(after)
	}
	err := c.call(ctx, "GET", query(path("upgrades", id(job), "tasks"), "after", from, "limit", positive(limit)), nil, &out)
	return out.Tasks, err
}

// CancelUpgrade ends a job and returns for how many devices.
func (c *Client) CancelUpgrade(ctx context.Context, job int64, all bool) (int64, error) {
	var out struct {
		Cancelled int64 `json:"cancelled"`
	}
	err := c.call(ctx, "POST", path("upgrades", id(job), "cancel"), map[string]bool{"all": all}, &out)
	return out.Cancelled, err
}

// Modules returns the versions that a device reported, by module.
func (c *Client) Modules(ctx context.Context, pk, dn string) (map[string]string, error) {
	var out struct {
		Modules map[string]string `json:"modules"`
	}
	err := c.call(ctx, "GET", path("devices", pk, dn, "modules"), nil, &out)
	return out.Modules, err
}

// PutRemoteConfig makes content the configuration file of a product.
func (c *Client) PutRemoteConfig(ctx context.Context, pk string, content []byte) (out platform.RemoteConfig, err error) {
	err = c.call(ctx, "PUT", path("products", pk, "config"), content, &out)
	return out, err
}

// RemoteConfig returns the configuration file of a product.
func (c *Client) RemoteConfig(ctx context.Context, pk string) (out platform.RemoteConfig, err error) {
	err = c.call(ctx, "GET", path("products", pk, "config"), nil, &out)
	return out, err
}

// SwitchRemoteConfig switches remote configuration of a product on or off.
func (c *Client) SwitchRemoteConfig(ctx context.Context, pk string, on bool) error {
	return c.call(ctx, "POST", path("products", pk, "config", "switch"), map[string]bool{"on": on}, nil)
}

// PushRemoteConfig tells a device, or all that are online if dn is "", of the
// configuration file, and returns how many it told.
func (c *Client) PushRemoteConfig(ctx context.Context, pk, dn string) (int, error) {
	var out struct {
		Devices int `json:"devices"`
	}
	err := c.call(ctx, "POST", path("products", pk, "config", "push"), map[string]string{"device": dn}, &out)
	return out.Devices, err
}
