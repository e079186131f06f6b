package admin

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// minToken is the shortest token that is accepted from a file, in characters.
const minToken = 16

// LoadOrCreateToken reads the API's bearer token from the file at path. If there
// is none it makes a random one, writes it with mode 0600 and reports created. A
// file that others may read, or that holds no usable token, is refused; the error
// says what to do.
func LoadOrCreateToken(path string) (token string, created bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = createToken(path)
		return token, err == nil, err
	}
	if err != nil {
		return "", false, fmt.Errorf("the admin token cannot be read: %w", err)
	}
	if err := private(path, info); err != nil {
		return "", false, err
	}
	token, err = ReadToken(path)
	return token, false, err
}

func private(path string, info fs.FileInfo) error {
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the token %s can be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// ReadPrivateToken is ReadToken for a file that nobody but its owner may read.
func ReadPrivateToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the token cannot be read: %w", err)
	}
	if err := private(path, info); err != nil {
		return "", err
	}
	return ReadToken(path)
}

// ReadToken reads a token from the file at path. It fails with fs.ErrNotExist in
// its chain if there is no such file.
func ReadToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the admin token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(b))
	bad := strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
	if len(token) < minToken || len(token) > 512 || bad {
		return "", fmt.Errorf("%s holds no usable token (one line of %d to 512 visible ASCII characters); remove the file and start the server again for a new one", path, minToken)
	}
	return token, nil
}

func createToken(path string) (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("no random bytes for the admin token: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(b[:])
	if err := writePrivate(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("the admin token cannot be written: %w", err)
	}
	return token, nil
}

// writePrivate replaces the file at path as a whole, with mode 0600: a reader sees
// the old content or the new one.
func writePrivate(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
