package platform

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// product is what is kept in memory of a product.
type product struct {
	key   string
	mode  atomic.Uint32 // tsl.Mode
	node  atomic.Value  // string, its node type
	model atomic.Pointer[tsl.Model]
	raw   atomic.Bool // its devices speak bytes that the script reads
	// script is nil if there is none.
	script atomic.Pointer[productScript]
}

func (pr *product) nodeType() string {
	if pr == nil {
		return ""
	}
	node, _ := pr.node.Load().(string)
	return node
}

// productOf returns the product from memory, or reads it. It may block.
func (p *Platform) productOf(ctx context.Context, key string) (*product, error) {
	p.productMu.RLock()
	pr := p.products[key]
	p.productMu.RUnlock()
	if pr != nil {
		return pr, nil
	}
	p.productMu.Lock()
	defer p.productMu.Unlock()
	if pr := p.products[key]; pr != nil {
		return pr, nil
	}
	rec, err := p.store.Product(ctx, key)
	if err != nil {
		return nil, err
	}
	pr = &product{key: key}
	pr.mode.Store(uint32(modeOf(rec.Validation)))
	pr.node.Store(string(rec.NodeType))
	pr.raw.Store(rec.DataFormat == store.FormatRaw)
	if err := p.loadScript(ctx, pr); err != nil {
		return nil, err
	}
	switch v, err := p.store.Model(ctx, key); {
	case err == nil:
		m, err := tsl.Parse(v.Document)
		if err != nil {
			return nil, fmt.Errorf("the stored thing model of product %s (version %d) cannot be read; import it again: %w", key, v.Version, err)
		}
		pr.model.Store(m)
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	p.products[key] = pr
	return pr, nil
}

func modeOf(v store.Validation) tsl.Mode {
	switch v {
	case store.ValidationStrong:
		return tsl.Strong
	case store.ValidationNone:
		return tsl.None
	}
	return tsl.Weak
}

// Product is one product as it is managed.
type Product struct {
	ProductKey string `json:"productKey"`
	Name       string `json:"name"`
	NodeType   string `json:"nodeType"`   // device, gateway, subdevice
	DataFormat string `json:"dataFormat"` // alink, raw
	Validation string `json:"validation"` // strong, weak, none
	// DynamicRegister lets registered devices fetch their secret with the product's;
	// AutoRegister besides lets devices that nobody registered create themselves.
	DynamicRegister bool   `json:"dynamicRegister"`
	AutoRegister    bool   `json:"autoRegister"`
	Description     string `json:"description"`
	CreatedAt       int64  `json:"createdAt"` // Unix milliseconds
	// ProductSecret is set on the result of CreateProduct only.
	ProductSecret string `json:"productSecret,omitempty"`
}

func productView(r store.Product) Product {
	return Product{
		ProductKey: r.Key, Name: r.Name, NodeType: string(r.NodeType), DataFormat: string(r.DataFormat),
		Validation: string(r.Validation), DynamicRegister: r.DynamicRegister, AutoRegister: r.AutoRegister, Description: r.Description,
		CreatedAt: r.CreatedAt.UnixMilli(),
	}
}

// CreateProduct stores a new product. An empty ProductKey is made up; Validation
// is weak unless given, as on the cloud since 2020. The result carries the
// ProductSecret, this once.
func (p *Platform) CreateProduct(ctx context.Context, who string, in Product) (Product, error) {
	if in.Validation == "" {
		in.Validation = string(store.ValidationWeak)
	}
	switch in.ProductKey {
	case "sys", "ext", "ota", "shadow", "broadcast": // its devices' custom topics would lie among the system topics
		return Product{}, &Error{Kind: KindInvalid, Message: in.ProductKey + " cannot be a ProductKey: system topics begin with it"}
	}
	rec, err := p.store.CreateProduct(ctx, store.Product{
		Key: in.ProductKey, Name: in.Name, NodeType: store.NodeType(in.NodeType), DataFormat: store.DataFormat(in.DataFormat),
		Validation: store.Validation(in.Validation), DynamicRegister: in.DynamicRegister, AutoRegister: in.AutoRegister, Description: in.Description,
		Secret: store.Secret(in.ProductSecret),
	})
	if err != nil {
		return Product{}, err
	}
	p.audit(ctx, who, "product.create", rec.Key, rec.Name)
	out := productView(rec)
	out.ProductSecret = rec.Secret.Reveal()
	return out, nil
}

// UpdateProduct changes a product's name, types, validation and description.
func (p *Platform) UpdateProduct(ctx context.Context, who string, in Product) error {
	err := p.store.UpdateProduct(ctx, store.Product{
		Key: in.ProductKey, Name: in.Name, NodeType: store.NodeType(in.NodeType), DataFormat: store.DataFormat(in.DataFormat),
		Validation: store.Validation(in.Validation), DynamicRegister: in.DynamicRegister, AutoRegister: in.AutoRegister, Description: in.Description,
	})
	if err != nil {
		return err
	}
	p.productMu.RLock()
	if pr := p.products[in.ProductKey]; pr != nil {
		pr.mode.Store(uint32(modeOf(store.Validation(in.Validation))))
		pr.node.Store(in.NodeType)
		pr.raw.Store(store.DataFormat(in.DataFormat) == store.FormatRaw)
	}
	p.productMu.RUnlock()
	p.audit(ctx, who, "product.update", in.ProductKey, "")
	return nil
}

// DeleteProduct removes a product; with devices only if force is set, and then
// with them.
func (p *Platform) DeleteProduct(ctx context.Context, who, key string, force bool) error {
	var gone []string
	if force {
		for after := ""; ; {
			page, err := p.store.Devices(ctx, store.DeviceQuery{ProductKey: key, After: after, Limit: 1000})
			if err != nil {
				return err
			}
			for _, d := range page {
				gone = append(gone, d.Name)
			}
			if len(page) < 1000 {
				break
			}
			after = page[len(page)-1].Name
		}
	}
	if err := p.store.DeleteProduct(ctx, key, force); err != nil {
		return err
	}
	p.productMu.Lock()
	if pr := p.products[key]; pr != nil {
		if s := pr.script.Swap(nil); s != nil {
			s.Close()
		}
	}
	delete(p.products, key)
	p.productMu.Unlock()
	for _, name := range gone {
		p.changed(key, name)
		p.endSub(DeviceKey(key, name), alink.CodeDeviceDeleted)
		p.broker.Forget(DeviceKey(key, name))
	}
	p.audit(ctx, who, "product.delete", key, fmt.Sprintf("%d devices", len(gone)))
	return nil
}

// RevealProductSecret shows a ProductSecret to who; why is written to the audit
// log.
func (p *Platform) RevealProductSecret(ctx context.Context, who, key, why string) (string, error) {
	return p.store.RevealProductSecret(ctx, key, who, why)
}

// Product returns one product without its secret.
func (p *Platform) Product(ctx context.Context, key string) (Product, error) {
	rec, err := p.store.Product(ctx, key)
	if err != nil {
		return Product{}, err
	}
	return productView(rec), nil
}

// Products returns the products behind key after, at most limit (100 if 0).
func (p *Platform) Products(ctx context.Context, after string, limit int) ([]Product, error) {
	recs, err := p.store.Products(ctx, store.ProductQuery{After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]Product, 0, len(recs))
	for _, r := range recs {
		out = append(out, productView(r))
	}
	return out, nil
}

// ImportModel checks a thing model and makes it the product's newest version. It
// takes effect with the next message.
func (p *Platform) ImportModel(ctx context.Context, who, key string, doc []byte) (version int, err error) {
	m, err := tsl.Parse(doc)
	if err != nil {
		return 0, err
	}
	pr, err := p.productOf(ctx, key)
	if err != nil {
		return 0, err
	}
	version, err = p.store.PutModel(ctx, key, doc)
	if err != nil {
		return 0, err
	}
	pr.model.Store(m)
	p.audit(ctx, who, "model.import", key, fmt.Sprintf("version %d", version))
	return version, nil
}

// Model returns a product's thing model, nil if it has none.
func (p *Platform) Model(ctx context.Context, key string) (*tsl.Model, error) {
	pr, err := p.productOf(ctx, key)
	if err != nil {
		return nil, err
	}
	return pr.model.Load(), nil
}

// ExportModel returns the product's thing model as the cloud exports it.
func (p *Platform) ExportModel(ctx context.Context, key string) ([]byte, error) {
	m, err := p.Model(ctx, key)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, &Error{Kind: KindNotFound, Message: "product " + key + " has no thing model", Hint: "import one: linkstead model import " + key + " FILE"}
	}
	return m.Export(key), nil
}

func (p *Platform) audit(ctx context.Context, who, action, object, detail string) {
	if err := p.store.Audit(ctx, who, action, object, detail); err != nil {
		p.logger.Error("an action could not be audited", "who", who, "action", action, "object", object, "error", err)
	}
}

// AuditReload notes that somebody has the server read its configuration again; an
// error means that it must not.
func (p *Platform) AuditReload(ctx context.Context, who, changes string) error {
	return p.auditFirst(ctx, who, "reload", "configuration", changes)
}

// AuditBackup notes that somebody copies everything that is stored into dir, or how
// that ended. A backup is made even if it cannot be noted, because that is so when
// the disk is failing or full and the copy is needed most; the log has it then.
func (p *Platform) AuditBackup(ctx context.Context, who, dir, detail string) {
	p.audit(ctx, who, "backup", dir, detail)
}

// auditFirst is audit for what must not happen unless it is written down: an
// error means that nothing was done.
func (p *Platform) auditFirst(ctx context.Context, who, action, object, detail string) error {
	if err := p.store.Audit(ctx, who, action, object, detail); err != nil {
		return fmt.Errorf("%s of %s was not done, because it could not be audited: %w", action, clip(object), err)
	}
	return nil
}
