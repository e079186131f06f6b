package platform

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// FileOptions are what downloads need.
type FileOptions struct {
	// Dir holds firmware; it is made with mode 0700.
	Dir string
	// Key signs the addresses of files.
	Key []byte
	// URL is what addresses begin with, or "" for the server's address as each device
	// reaches it.
	URL string
	// UploadDir holds the files that devices send; it is made with mode 0700. With
	// Sync a block of them is on disk before it is acknowledged.
	UploadDir string
	Sync      bool
}

// urlLife is how long the address of a file is good (spec/services.md §2.2).
const urlLife = 24 * time.Hour

// files are what devices fetch over HTTP and how each reaches the server.
type files struct {
	options FileOptions
	mu      sync.Mutex
	port    string            // of the listener, "" if there is none
	doors   map[string][]door // by the session key of a device, one of each connection
}

// door is how a device is connected.
type door struct {
	remote netip.AddrPort
	secure bool
}

// ServeFiles tells the platform on which port its file handler is reached.
func (p *Platform) ServeFiles(port string) {
	p.files.mu.Lock()
	p.files.port = port
	p.files.mu.Unlock()
}

func (f *files) came(key string, c broker.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doors == nil {
		f.doors = make(map[string][]door)
	}
	f.doors[key] = append(f.doors[key], door{c.Remote, c.Kind.Secure()})
}

// visited notes where a device without a connection came from, unless it has one.
func (f *files) visited(key, remote string, secure bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doors == nil {
		f.doors = make(map[string][]door)
	}
	if len(f.doors[key]) == 0 {
		f.doors[key] = []door{{at, secure}}
	}
}

func (f *files) went(key string, c broker.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.doors[key]
	if i := slices.Index(left, door{c.Remote, c.Kind.Secure()}); i >= 0 {
		left = slices.Delete(left, i, i+1)
	}
	if len(left) == 0 {
		delete(f.doors, key)
		return
	}
	f.doors[key] = left
}

// errNoFiles says that files are not served over HTTP.
var errNoFiles = errors.New("files are not served over HTTP; set files.listen")

// fileURL is the signed address of a file as a device reaches it.
func (p *Platform) fileURL(d *device, path string) (string, error) {
	key := d.key
	p.subs.mu.Lock()
	if sub := p.subs.m[d.key]; sub != nil && sub.gateway != nil { // the gateway fetches for it
		key = sub.gateway.key
	}
	p.subs.mu.Unlock()
	p.files.mu.Lock()
	port := p.files.port
	var at door // of the newest connection
	if doors := p.files.doors[key]; len(doors) > 0 {
		at = doors[len(doors)-1]
	}
	p.files.mu.Unlock()
	if port == "" {
		return "", errNoFiles
	}
	base := strings.TrimSuffix(p.files.options.URL, "/")
	if base == "" {
		base = "http://"
		if at.secure {
			base = "https://"
		}
		base += net.JoinHostPort(localFor(at.remote), port)
	}
	expires := strconv.FormatInt(p.now().Add(urlLife).Unix(), 10)
	return base + path + "?Expires=" + expires + "&Signature=" + p.fileSignature(path, expires), nil
}

// localFor is the address of this machine on the way to another. Nothing is sent.
func localFor(remote netip.AddrPort) string {
	c, err := net.Dial("udp", netip.AddrPortFrom(remote.Addr(), max(remote.Port(), 1)).String())
	if err != nil {
		return "127.0.0.1"
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("").String()
}

func (p *Platform) fileSignature(path, expires string) string {
	h := hmac.New(sha256.New, p.files.options.Key)
	h.Write([]byte(path + "\n" + expires))
	return hex.EncodeToString(h.Sum(nil))[:40]
}

// ServeFile serves files to whoever has a signed address that is still good:
// GET and HEAD, with Range, no redirect, no chunked encoding.
func (p *Platform) ServeFile(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	q := r.URL.Query()
	expires := q.Get("Expires")
	at, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !hmac.Equal([]byte(q.Get("Signature")), []byte(p.fileSignature(r.URL.Path, expires))) {
		http.Error(w, "the signature is wrong", http.StatusForbidden)
		return
	}
	if p.now().Unix() > at {
		http.Error(w, "the address is too old; ask for a new one", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/files/"), "/")
	switch kind {
	case "firmware":
		id, _ := strconv.ParseInt(name, 10, 64)
		f, err := p.openPackage(id)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer func() { _ = f.Close() }()
		http.ServeContent(w, r, "", time.Time{}, f)
	case "config":
		pk, id, _ := strings.Cut(name, "/")
		c, err := p.store.RemoteConfig(r.Context(), pk)
		if err != nil || c.ConfigID != id {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.Content))
	case "model":
		device, sum, _ := strings.Cut(name, "/")
		content, err := p.modelConfig(r.Context(), device, sum)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	default:
		http.NotFound(w, r)
	}
}

func (p *Platform) packagePath(id int64) string {
	return filepath.Join(p.files.options.Dir, strconv.FormatInt(id, 10)+".bin")
}

func (p *Platform) openPackage(id int64) (*os.File, error) {
	if id <= 0 || p.files.options.Dir == "" {
		return nil, store.ErrNotFound
	}
	return os.Open(p.packagePath(id))
}

var _ http.Handler = (*Platform)(nil)
