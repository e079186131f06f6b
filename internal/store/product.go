package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NodeType says what a product's devices are.
type NodeType string

// The node types.
const (
	NodeDevice    NodeType = "device"    // connects by itself
	NodeGateway   NodeType = "gateway"   // connects by itself and carries sub-devices
	NodeSubDevice NodeType = "subdevice" // connects through a gateway
)

// DataFormat says what a product's devices send.
type DataFormat string

// The data formats.
const (
	FormatAlink DataFormat = "alink" // Alink JSON
	FormatRaw   DataFormat = "raw"   // bytes that a script turns into Alink JSON
)

// Validation says how strictly data are held against the thing model.
type Validation string

// The validations.
const (
	ValidationStrong Validation = "strong" // refuse what does not fit
	ValidationWeak   Validation = "weak"   // check identifiers and types only
	ValidationNone   Validation = "none"   // take everything
)

// Product is a kind of device.
type Product struct {
	Key  string // ProductKey
	Name string
	// Secret is the ProductSecret. It is set on the result of CreateProduct
	// only; reading a product leaves it empty (see RevealProductSecret).
	Secret          Secret
	NodeType        NodeType   // NodeDevice if empty on creation
	DataFormat      DataFormat // FormatAlink if empty on creation
	Validation      Validation // ValidationStrong if empty on creation
	DynamicRegister bool       // devices may fetch their secret with the product's
	AutoRegister    bool       // and those that are not registered create themselves
	Description     string
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

func (p *Product) check(op string) error {
	var err error
	switch {
	case !validKey(p.Key):
		err = errors.New("a ProductKey has 1 to 32 letters and digits")
	case p.Name == "" || len(p.Name) > 256:
		err = errors.New("a product needs a name of at most 256 bytes")
	case len(p.Description) > 4096:
		err = errors.New("a description has at most 4096 bytes")
	case p.NodeType != NodeDevice && p.NodeType != NodeGateway && p.NodeType != NodeSubDevice:
		err = fmt.Errorf("node type %q is none of device, gateway, subdevice", p.NodeType)
	case p.DataFormat != FormatAlink && p.DataFormat != FormatRaw:
		err = fmt.Errorf("data format %q is none of alink, raw", p.DataFormat)
	case p.Validation != ValidationStrong && p.Validation != ValidationWeak && p.Validation != ValidationNone:
		err = fmt.Errorf("validation %q is none of strong, weak, none", p.Validation)
	}
	if err != nil {
		return &Error{Kind: KindInvalid, Op: op, Key: p.Key, Err: err}
	}
	return nil
}

// CreateProduct stores a new product and returns it as stored, with its secret.
// An empty Key or Secret is made up; a given one is kept, so that products can
// move here from elsewhere. It fails with ErrExists if the key is taken.
func (s *Store) CreateProduct(ctx context.Context, p Product) (Product, error) {
	const op = "create product"
	if p.Key == "" {
		p.Key = "a1" + randomText(9, alphanumeric)
	}
	if p.Secret == "" {
		p.Secret = Secret(randomText(16, alphanumeric))
	}
	if p.NodeType == "" {
		p.NodeType = NodeDevice
	}
	if p.DataFormat == "" {
		p.DataFormat = FormatAlink
	}
	if p.Validation == "" {
		p.Validation = ValidationStrong
	}
	if err := p.check(op); err != nil {
		return Product{}, err
	}
	if err := checkSecret(op, p.Key, p.Secret); err != nil {
		return Product{}, err
	}
	now := s.now()
	p.CreatedAt, p.UpdatedAt = fromMS(now), fromMS(now)
	err := s.write(ctx, op, p.Key, func(t *tx) error {
		n, err := t.exec(ctx, `insert into product (product_key, name, secret, node_type, data_format, validation,
				dynamic_register, auto_register, description, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) on conflict (product_key) do nothing`,
			p.Key, p.Name, s.vault.seal(productIdentity(p.Key), p.Secret), string(p.NodeType), string(p.DataFormat),
			string(p.Validation), flag(p.DynamicRegister), flag(p.AutoRegister), p.Description, now)
		if err == nil && n == 0 {
			err = &Error{Kind: KindExists, Op: op, Key: p.Key, Hint: "choose another ProductKey or update the product"}
		}
		return err
	})
	if err != nil {
		return Product{}, err
	}
	return p, nil
}

const productColumns = `product_key, name, node_type, data_format, validation, dynamic_register, auto_register,
	description, created_at, updated_at`

func scanProduct(scan func(...any) error) (Product, error) {
	var (
		p                               Product
		dynamic, auto, created, updated int64
	)
	err := scan(&p.Key, &p.Name, &p.NodeType, &p.DataFormat, &p.Validation, &dynamic, &auto, &p.Description, &created, &updated)
	p.DynamicRegister, p.AutoRegister, p.CreatedAt, p.UpdatedAt = dynamic != 0, auto != 0, fromMS(created), fromMS(updated)
	return p, err
}

// Product returns a product, without its secret, or ErrNotFound.
func (s *Store) Product(ctx context.Context, key string) (Product, error) {
	row, err := s.r.row(ctx, `select `+productColumns+` from product where product_key = $1`, key)
	if err != nil {
		return Product{}, wrap("read product", key, err)
	}
	p, err := scanProduct(row.Scan)
	return p, wrap("read product", key, err)
}

// ProductQuery selects products, in the order of their keys.
type ProductQuery struct {
	After string // only keys greater than this: the last key of the page before
	Limit int    // at most this many: 100 if 0, 1000 at most
}

// Products returns one page of products, without their secrets.
func (s *Store) Products(ctx context.Context, q ProductQuery) ([]Product, error) {
	const op = "list products"
	rows, err := s.r.rows(ctx, `select `+productColumns+` from product where product_key > $1
		order by product_key limit $2`, q.After, pageSize(q.Limit))
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	var out []Product
	for rows.Next() {
		p, err := scanProduct(rows.Scan)
		if err != nil {
			return nil, wrap(op, "", err)
		}
		out = append(out, p)
	}
	return out, wrap(op, "", rows.Err())
}

// UpdateProduct stores a product's Name, NodeType, DataFormat, Validation,
// DynamicRegister, AutoRegister and Description; the other fields are ignored. It fails with
// ErrNotFound if there is no such product.
func (s *Store) UpdateProduct(ctx context.Context, p Product) error {
	const op = "update product"
	if err := p.check(op); err != nil {
		return err
	}
	return s.write(ctx, op, p.Key, func(t *tx) error {
		n, err := t.exec(ctx, `update product set name = $2, node_type = $3, data_format = $4, validation = $5,
			dynamic_register = $6, auto_register = $7, description = $8, updated_at = $9 where product_key = $1`,
			p.Key, p.Name, string(p.NodeType), string(p.DataFormat), string(p.Validation),
			flag(p.DynamicRegister), flag(p.AutoRegister), p.Description, s.now())
		return found(n, err, op, p.Key)
	})
}

// DeleteProduct removes a product with its model. While the product has devices
// it fails with ErrConflict, unless force is given: then they are deleted too,
// with everything recorded about them.
func (s *Store) DeleteProduct(ctx context.Context, key string, force bool) error {
	const op = "delete product"
	return s.writeDrop(ctx, op, key, func(t *tx) ([]seriesRef, error) {
		devices, err := t.int64s(ctx, `select id from device where product_key = $1`, key)
		if err != nil {
			return nil, err
		}
		if len(devices) > 0 && !force {
			return nil, &Error{Kind: KindConflict, Op: op, Key: key, Err: fmt.Errorf("it has %d devices", len(devices)),
				Hint: "delete them first, or force the deletion to delete them too"}
		}
		var ended []seriesRef
		for _, id := range devices {
			series, err := deleteDevice(ctx, t, id)
			if err != nil {
				return nil, err
			}
			ended = append(ended, series...)
		}
		n, err := t.exec(ctx, `delete from product where product_key = $1`, key)
		return ended, found(n, err, op, key)
	})
}

// found turns "no row was changed" into ErrNotFound.
func found(n int64, err error, op, key string) error {
	if err == nil && n == 0 {
		return &Error{Kind: KindNotFound, Op: op, Key: key}
	}
	return err
}

// pageSize is the limit of a page.
func pageSize(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}
