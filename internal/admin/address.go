package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// addressFile is the content of admin.json: where a running server is.
type addressFile struct {
	Address   string `json:"address"`   // host:port
	TokenFile string `json:"tokenFile"` // relative to the file's own directory if it lies there
}

// WriteAddress writes where the API is, and which file holds its token, to the
// file at path (mode 0600), for ReadAddress.
func WriteAddress(path, address, tokenFile string) error {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("the admin API's address cannot be written: %w", err)
	}
	if tokenFile, err = filepath.Abs(tokenFile); err != nil {
		return fmt.Errorf("the admin API's address cannot be written: %w", err)
	}
	if filepath.Dir(tokenFile) == dir { // survives a data directory that is moved or mounted elsewhere
		tokenFile = filepath.Base(tokenFile)
	}
	b, err := json.Marshal(addressFile{address, tokenFile})
	if err != nil {
		return fmt.Errorf("the admin API's address cannot be written: %w", err)
	}
	if err := writePrivate(path, append(b, '\n')); err != nil {
		return fmt.Errorf("the admin API's address cannot be written: %w", err)
	}
	return nil
}

// ReadAddress reads what WriteAddress wrote: an address that this machine can
// connect to, and the path of the token's file. It fails with fs.ErrNotExist in
// its chain if there is no such file, which means that no server is running there.
func ReadAddress(path string) (address, tokenFile string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	var f addressFile
	if err := json.Unmarshal(b, &f); err != nil {
		return "", "", fmt.Errorf("%s cannot be read: %w; start the server again to have it rewritten", path, err)
	}
	host, port, err := net.SplitHostPort(f.Address)
	if err != nil {
		return "", "", fmt.Errorf("%s names no address: %w; start the server again to have it rewritten", path, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	if !filepath.IsAbs(f.TokenFile) {
		f.TokenFile = filepath.Join(filepath.Dir(path), f.TokenFile)
	}
	return net.JoinHostPort(host, port), f.TokenFile, nil
}
