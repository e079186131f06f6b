package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/store"
)

// FuzzUploadBlock: whatever comes as a block is refused with a code and an answer that is JSON, or is taken with
// the data that its header and its checksum speak of.
func FuzzUploadBlock(f *testing.F) {
	block := func(header, data string) []byte { return alink.AppendBlock(nil, []byte(header), []byte(data)) }
	f.Add(block(`{"id":"1","params":{"uploadId":"u","offset":0,"bSize":3,"isComplete":true}}`, "abc"))
	f.Add(block(`{"id":1,"params":{"uploadId":"u","offset":"12","bSize":"3","isComplete":"true"}}`, "abc"))
	f.Add(block(`{"params":{"uploadId":"u","offset":-1,"bSize":9223372036854775807}}`, ""))
	f.Add(block(`[]`, "abc"))
	f.Add([]byte("\x00\x02{}"))
	f.Add([]byte("\xff\xff{}\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, data, refused := parseBlock(b)
		if refused.code != 0 {
			if out := alink.AppendSessionReply(nil, refused.code, refused.data, refused.id, refused.message); !json.Valid(out) {
				t.Errorf("the answer is no JSON: %s", out)
			}
			return
		}
		if h.upload == "" || h.offset < 0 || h.size != int64(len(data)) || h.size > maxBlock || !bytes.Contains(b, data) || h.last && h.size < 0 {
			t.Errorf("taken as %+v with %d bytes", h, len(data))
		}
		again, err := alink.SplitBlock(b)
		if err != nil || !bytes.Equal(alink.AppendBlock(nil, again.Header, data), b) {
			t.Errorf("the block is not what it was made of: %v", err)
		}
	})
}

// FuzzUploadPart: whatever a part's file holds, what is read of it can be gone on with, and gives the same when it
// is read again.
func FuzzUploadPart(f *testing.F) {
	dir := f.TempDir()
	whole := func(blocks ...string) []byte {
		p := &part{path: filepath.Join(dir, "seed")}
		for _, b := range blocks {
			if err := p.add([]byte(b), false); err != nil {
				f.Fatal(err)
			}
		}
		b, err := os.ReadFile(p.path)
		if err != nil {
			f.Fatal(err)
		}
		return b[:p.end]
	}
	f.Add(whole("abc"))
	f.Add(append(whole("abc", "defgh"), 0, 0, 0, 9))
	f.Add(append(whole("abc"), "\x00\x00\x00\x03\x00\x00\x00\x00abc"...))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "1.part")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPart(path, store.DeviceFile{})
		if err != nil {
			t.Fatal(err)
		}
		if p.end > int64(len(b)) || p.size > p.end || p.size < 0 {
			t.Fatalf("of %d bytes %d are whole, %d of data", len(b), p.end, p.size)
		}
		before := p.size
		if err := p.add([]byte("more"), false); err != nil {
			t.Fatal(err)
		}
		again, err := openPart(path, store.DeviceFile{})
		if err != nil || again.size < p.size || again.size == p.size && (again.sums != p.sums || again.end != p.end) {
			t.Fatalf("read again: %+v, %v; was %+v", again, err, p)
		}
		if err := p.finish(path+".bin", false); err != nil {
			t.Fatal(err)
		}
		if out, err := os.ReadFile(path + ".bin"); err != nil || int64(len(out)) != before+4 || string(out[before:]) != "more" {
			t.Fatalf("finished with %d bytes, %v, want %d", len(out), err, before+4)
		}
	})
}

// TestFileSums are the standard checks of the two checksums that go by the name crc64, in one piece and in two.
func TestFileSums(t *testing.T) {
	var s fileSums
	s.add([]byte("1234"))
	s.add([]byte("56789"))
	if got := fmt.Sprintf("%016x %016x", s.ecma, s.jones); got != "995dc9bbdf1939fa e9c6d914c4b8d9ca" {
		t.Errorf("the checksums are %s", got)
	}
	for client, want := range map[string]string{"995DC9BBDF1939FA": "995DC9BBDF1939FA true", "e9c6d914c4b8d9ca": "e9c6d914c4b8d9ca true", "1": "995dc9bbdf1939fa false", "": "995dc9bbdf1939fa false"} {
		sum, fits := s.text(client)
		if got := fmt.Sprint(sum, " ", fits); got != want {
			t.Errorf("for %q the checksum is %s, want %s", client, got, want)
		}
	}
}

// TestDamagedPart: bytes that a disk has changed do not become a file.
func TestDamagedPart(t *testing.T) {
	dir := t.TempDir()
	p := &part{path: filepath.Join(dir, "1.part")}
	for _, b := range []string{"first block", "second block"} {
		if err := p.add([]byte(b), true); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	b[partHead+2]++
	if err := os.WriteFile(p.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.finish(filepath.Join(dir, "1.bin"), true); err == nil {
		t.Error("a damaged part was finished")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}

// TestUploadSweep: an upload that nobody finished within 24 hours goes, and so do bytes of devices that were
// deleted; what is complete, or young, stays.
func TestUploadSweep(t *testing.T) {
	now := testNow
	clock := func() time.Time { return now }
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), MasterKey: make([]byte, store.KeySize), Durability: store.DurabilityMemory, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := New(Options{Store: s, Now: clock, Files: FileOptions{UploadDir: dir}})
	t.Cleanup(func() {
		p.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.CreateProduct(t.Context(), store.Product{Key: "a1ji0qFv6Jf", Name: "x"}); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int64{}
	for _, name := range []string{"stays", "goes"} {
		d, err := s.CreateDevice(t.Context(), store.NewDevice{ProductKey: "a1ji0qFv6Jf", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = d.Device.ID
	}
	begin := func(device int64, name string, finish bool) {
		t.Helper()
		f, _, err := s.BeginUpload(t.Context(), store.DeviceFile{DeviceID: device, Name: name, Size: 3, Reserved: 3}, 100, 100)
		if err != nil {
			t.Fatal(err)
		}
		path := p.partPath(f.ID)
		if finish {
			path = p.uploadPath(f.ID)
			if _, err := s.FinishUpload(t.Context(), f, 3, "0"); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begin(ids["stays"], "old", false)
	begin(ids["stays"], "whole", true)
	begin(ids["goes"], "lost", true)
	now = now.Add(25 * time.Hour)
	begin(ids["stays"], "young", false)
	if err := s.DeleteDevice(t.Context(), "a1ji0qFv6Jf", "goes"); err != nil {
		t.Fatal(err)
	}
	if err := p.sweepUploadsOnce(); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, string(b))
	}
	list, err := p.DeviceFiles(t.Context(), "a1ji0qFv6Jf", "stays")
	if fmt.Sprint(left) != "[whole young]" || err != nil || len(list) != 2 {
		t.Errorf("there are the bytes of %v and %d files, %v", left, len(list), err)
	}
}
