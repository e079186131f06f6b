package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// LoadOrCreateKey reads the master key from the file at path: 64 hexadecimal
// digits. If there is no such file it makes a random key, writes it with mode
// 0600 (and its directory with 0700), syncs it to disk, and reports created.
// Keep a copy of the file apart from the database's backups: without it no
// device secret can be recovered.
//
// A file that its group or others may read is refused, as is one that does not
// hold a key; the error says what to do.
func LoadOrCreateKey(path string) (key []byte, created bool, err error) {
	key, err = loadKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = make([]byte, KeySize)
	rand.Read(key) // never fails: crypto/rand ends the process instead
	if err := createKey(path, key); err != nil {
		return nil, false, &Error{Op: "create master key", Key: path, Err: err,
			Hint: "make the directory writable or name another key file"}
	}
	return key, true, nil
}

func loadKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Op: "read master key", Key: path, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &Error{Op: "read master key", Key: path, Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Kind: KindInvalid, Op: "read master key", Key: path,
			Err: errors.New("it is not a regular file")}
	}
	if checkModes && info.Mode().Perm()&0o077 != 0 {
		return nil, &Error{Kind: KindInvalid, Op: "read master key", Key: path,
			Err:  fmt.Errorf("its mode %#o lets other users read it", info.Mode().Perm()),
			Hint: "run `chmod 600 " + path + "` if nobody can have read it"}
	}
	text := make([]byte, 2*KeySize+8)
	n, _ := f.Read(text)
	key, err := hex.DecodeString(strings.TrimSpace(string(text[:n])))
	if err != nil || len(key) != KeySize {
		// The cause is left out: hex errors quote a byte of the key.
		return nil, &Error{Kind: KindInvalid, Op: "read master key", Key: path,
			Err:  errors.New("it does not hold 64 hexadecimal digits"),
			Hint: "restore the key file from its copy; a new key cannot open the old database"}
	}
	return key, nil
}

// createKey writes the key to a new file beside path and links it into place,
// so that a crash leaves either no key or a whole one and two starting servers
// cannot overwrite each other's.
func createKey(path string, key []byte) error {
	dir := filepath.Dir(path)
	if err := MakeDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
