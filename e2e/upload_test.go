package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
)

const uploadTail = "thing/file/upload/mqtt/"

// sender is a device that sends a file, with the bytes of the C SDK.
type sender struct {
	*wire
	d        alink.Triple
	uploadID string
}

// ask sends a message of an upload and returns what stands in its answer.
func (s *sender) ask(word, payload string) (answer string) {
	s.t.Helper()
	s.send(publish(sysOf(s.d, uploadTail+word), payload, 0))
	p := s.publication()
	if got := string(p.Topic); got != sysOf(s.d, uploadTail+word+"_reply") {
		s.t.Fatalf("%s is answered on %s", word, got)
	}
	return string(p.Payload)
}

// init begins to send a file and fails unless it goes on at an offset.
func (s *sender) init(offset int, params string) {
	s.t.Helper()
	got := s.ask("init", `{"id":"123456","params":{`+params+`}}`)
	var m struct {
		Code int
		Data struct {
			FileName, UploadID string
			Offset             int
			FileSize           int
		}
	}
	if err := json.Unmarshal([]byte(got), &m); err != nil || m.Code != 200 || m.Data.Offset != offset || len(m.Data.UploadID) != 24 {
		s.t.Fatalf("init of %s is answered %s, want offset %d", params, got, offset)
	}
	if want := fmt.Sprintf(`{"id":"123456","code":200,"message":"success","data":{"fileName":"%s","uploadId":"%s","offset":%d,"fileSize":%d}}`,
		m.Data.FileName, m.Data.UploadID, offset, m.Data.FileSize); got != want {
		s.t.Errorf("init is answered\n     %s\nwant %s", got, want)
	}
	s.uploadID = m.Data.UploadID
}

// block is the payload of a block; last is added to its header.
func (s *sender) block(offset int, data []byte, last string) string {
	header := fmt.Sprintf(`{"id":"7","params":{"uploadId":"%s","offset":%d,"bSize":%d%s}}`, s.uploadID, offset, len(data), last)
	return string(alink.AppendBlock(nil, []byte(header), data))
}

// wantBlock sends a block and compares its answer: code, message, and what follows bSize.
func (s *sender) wantBlock(offset int, data []byte, last string, code int, message string, at int, rest string) {
	s.t.Helper()
	got := s.ask("send", s.block(offset, data, last))
	if want := fmt.Sprintf(`{"id":"7","code":%d,"message":"%s","data":{"uploadId":"%s","offset":%d,"bSize":%d%s}}`, code, message, s.uploadID, at, len(data), rest); got != want {
		s.t.Errorf("the block at %d is answered\n     %s\nwant %s", offset, got, want)
	}
}

// stored is a complete file of a device, "" if there is none.
func (h *home) stored(d alink.Triple, name string) string {
	h.t.Helper()
	_, f, err := h.Platform.OpenDeviceFile(h.t.Context(), d.ProductKey, d.DeviceName, name)
	if platform.KindOf(err) == platform.KindNotFound {
		return ""
	}
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(f)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// differing are n bytes that differ from each other.
func differing(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/256)
	}
	return b
}

// TestUpload sends a file in blocks, with every answer compared byte by byte: the good ones, each refusal of a
// block, a block sent twice, and the checksum of the whole.
func TestUpload(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	s := &sender{wire: h.login(d), d: d}
	content := differing(5000)
	sum := fmt.Sprintf("%016X", crc64.Checksum(content, crc64.MakeTable(crc64.ECMA)))
	s.init(0, `"fileName":"abc.bin","fileSize":5000,"conflictStrategy":"overwrite","ficMode":"crc64","ficValue":"`+sum+`","initUid":"ab134","extraParams":{"ossOwnerType":"iot-platform","fileTag":{"k":"v"}}`)
	const ok = "success"
	s.wantBlock(0, content[:2048], `,"isComplete":false`, 200, ok, 0, "")
	s.wantBlock(0, content[:2048], "", 200, ok, 0, "") // its answer was lost
	s.wantBlock(2048, content[2048:4096], "", 200, ok, 2048, "")
	s.wantBlock(2048, content[:2048], "", 78119, "the block begins at 2048, 4096 bytes are stored", 4096, "") // other bytes
	s.wantBlock(100, content[100:500], "", 78119, "the block begins at 100, 4096 bytes are stored", 4096, "")
	s.wantBlock(4500, content[4500:], "", 78119, "the block begins at 4500, 4096 bytes are stored", 4096, "")
	s.wantBlock(4096, content[4096:4096+255], "", 78120, "block size is less than 256 bytes", 4096, "")
	s.wantBlock(4096, make([]byte, 128<<10+1), "", 78118, "block size has exceeded the limit 128 KB", 4096, "")
	s.wantBlock(4096, make([]byte, 905), "", 460, "with this block the file has 5001 bytes, fileSize was 5000", 4096, "")
	s.wantBlock(4096, content[4096:4996], `,"isComplete":true`, 460, "with this block the file has 4996 bytes, fileSize was 5000", 4096, "")
	broken := []byte(s.block(4096, content[4096:], ""))
	broken[len(broken)-1]++
	if got, want := s.ask("send", string(broken)), `{"id":"7","code":78121,"message":"block checksum failed","data":{"uploadId":"`+s.uploadID+`","offset":4096,"bSize":904}}`; got != want {
		t.Errorf("a broken block is answered\n     %s\nwant %s", got, want)
	}
	if h.stored(d, "abc.bin") != "" {
		t.Error("the file is there before its last block")
	}
	end := `,"complete":true,"ficMode":"crc64","ficValueClient":"` + sum + `","ficValueServer":"` + sum + `"`
	s.wantBlock(4096, content[4096:], `,"isComplete":true`, 200, ok, 4096, end)
	if h.stored(d, "abc.bin") != string(content) {
		t.Error("what is stored is not what was sent")
	}
	s.wantBlock(4096, content[4096:], `,"isComplete":true`, 200, ok, 4096, end) // its answer was lost
	s.wantBlock(2048, content[2048:4096], "", 78124, "upload is finished", 2048, "")
	for what, payload := range map[string]string{
		"nothing": "", "a length alone": "\x00\x05", "a header longer than all": "\xff\xff{}", "a header that is none": "\x00\x02[]\x00\x00",
		"no JSON": "\x00\x01{\x00\x00",
	} {
		if got := s.ask("send", payload); !strings.HasPrefix(got, `{"id":"","code":400,`) {
			t.Errorf("%s: %s", what, got)
		}
	}
	if got := s.ask("send", string(alink.AppendBlock(nil, []byte(`{"id":"8","params":{"uploadId":"x","offset":0,"bSize":3}}`), []byte("ab")))); got != `{"id":"8","code":460,"message":"bSize is 3, but 2 bytes came","data":{"uploadId":"x","offset":0,"bSize":3}}` {
		t.Errorf("a block with another size: %s", got)
	}
	good := s.uploadID
	s.uploadID = "NoSuchUpload"
	s.wantBlock(0, content[:500], "", 78122, "there is no such upload; the device has to begin again", 0, "")
	// Another device does not get at it.
	other := &sender{wire: nil, d: h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "other"}), uploadID: good}
	other.wire = h.login(other.d)
	other.wantBlock(0, content[:500], "", 78122, "there is no such upload; the device has to begin again", 0, "")
	for _, code := range []string{"78118", "78119", "78120", "78121", "78122", "78124", "460", "400"} {
		h.awaitLog(d, code)
	}
	// A checksum of the whole that is wrong: nothing stays.
	s.init(0, `"fileName":"wrong.bin","fileSize":3,"ficMode":"crc64","ficValue":"1"`)
	wrong := fmt.Sprintf(`,"complete":false,"ficMode":"crc64","ficValueClient":"1","ficValueServer":"%016x"`, crc64.Checksum([]byte("abc"), crc64.MakeTable(crc64.ECMA)))
	s.wantBlock(0, []byte("abc"), "", 78125, "file checksum failed", 0, wrong)
	s.wantBlock(0, []byte("abc"), "", 78122, "there is no such upload; the device has to begin again", 0, "")
	// The other checksum by that name, and a size that is known at the end only, which an empty block says.
	s.init(0, `"fileName":"123.txt","fileSize":-1,"ficMode":"crc64","ficValue":"e9c6d914c4b8d9ca"`)
	s.wantBlock(0, []byte("123456789"), "", 78120, "block size is less than 256 bytes", 0, "")
	s.wantBlock(0, []byte("123456789"), `,"isComplete":true`, 200, ok, 0, `,"complete":true,"ficMode":"crc64","ficValueClient":"e9c6d914c4b8d9ca","ficValueServer":"e9c6d914c4b8d9ca"`)
	s.init(0, `"fileName":"long.txt","fileSize":-1`)
	s.wantBlock(0, content[:256], "", 200, ok, 0, "")
	s.wantBlock(256, nil, `,"isComplete":true`, 200, ok, 256, `,"complete":true`)
	if h.stored(d, "long.txt") != string(content[:256]) || h.stored(d, "123.txt") != "123456789" {
		t.Error("files of a size that was not known are not as they were sent")
	}
	list, err := h.Platform.DeviceFiles(t.Context(), d.ProductKey, d.DeviceName)
	if err != nil || len(list) != 3 || list[1].Name != "abc.bin" || list[1].Size != 5000 || !list[1].Complete || list[1].CRC64 != sum || string(list[1].Tags) != `{"k":"v"}` {
		t.Errorf("the files are %+v, %v", list, err)
	}
	if err := h.Platform.DeleteDeviceFile(t.Context(), who, d.ProductKey, d.DeviceName, "abc.bin"); err != nil || h.stored(d, "abc.bin") != "" {
		t.Errorf("deleted: %v", err)
	}
	if err := h.Platform.DeleteDeviceFile(t.Context(), who, d.ProductKey, d.DeviceName, "abc.bin"); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("deleted twice: %v", err)
	}
	h.wantFiles("2 .bin, 0 .part")
}

// wantFiles counts what lies in the directory of devices' files.
func (h *home) wantFiles(want string) {
	h.t.Helper()
	n := map[string]int{}
	entries, err := os.ReadDir(filepath.Join(h.cfg.Data, "uploads"))
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		n[filepath.Ext(e.Name())]++
	}
	if got := fmt.Sprintf("%d .bin, %d .part", n[".bin"], n[".part"]); got != want || n[".bin"]+n[".part"] != len(entries) {
		h.t.Errorf("the directory has %s of %d files, want %s", got, len(entries), want)
	}
}

// TestUploadBegins: what an init may say, the three strategies for a file that is there, a repeated init, cancelling,
// the bounds, and names that would be ways out.
func TestUploadBegins(t *testing.T) {
	h := mustStart(t, func(c *config.Config) { c.Files.UploadBytes, c.Files.UploadDeviceBytes = 40<<20, 33<<20 })
	d := h.addSeed()
	s := &sender{wire: h.login(d), d: d}
	refused := func(params, want string) {
		t.Helper()
		if got := s.ask("init", `{"id":1,"params":`+params+`}`); got != want {
			t.Errorf("init %s is answered\n     %s\nwant %s", params, got, want)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/b", `a\\b`, ".hidden", "_x", "a b", "ä", "a\\u0000", strings.Repeat("a", 101)} {
		if got := s.ask("init", `{"id":1,"params":{"fileName":"`+name+`","fileSize":300}}`); !strings.HasPrefix(got, `{"id":"1","code":460,"message":"fileName should`) {
			t.Errorf("a file named %q: %s", name, got)
		}
	}
	for _, params := range []string{`"fileSize":0`, `"fileSize":-2`, `"fileSize":"x"`, `"a":1`, `"fileSize":1,"conflictStrategy":"merge"`, `"fileSize":1,"ficMode":"md5","ficValue":"1"`,
		`"fileSize":1,"ficMode":"crc64"`, `"fileSize":1,"ficMode":"crc64","ficValue":"12345678901234567"`, `"fileSize":1,"initUid":"` + strings.Repeat("x", 200) + `"`} {
		if got := s.ask("init", `{"id":1,"params":{"fileName":"a",`+params+`}}`); !strings.HasPrefix(got, `{"id":"1","code":460,`) || !strings.HasSuffix(got, `"data":{"fileName":"a"}}`) {
			t.Errorf("%s: %s", params, got)
		}
	}
	refused(`[]`, `{"id":"1","code":460,"message":"params should be an object","data":{}}`)
	refused(`{"fileName":"a","fileSize":16777217}`, `{"id":"1","code":78117,"message":"file size has exceeded the limit 16 MB","data":{"fileName":"a"}}`)
	if got := s.ask("init", "{"); !strings.HasPrefix(got, `{"id":"","code":400,`) {
		t.Errorf("no JSON: %s", got)
	}

	whole := differing(600)
	finish := func(from int) {
		t.Helper()
		s.wantBlock(from, whole[from:], `,"isComplete":true`, 200, "success", from, `,"complete":true`)
	}
	const file = `"fileName":"a.bin","fileSize":600`
	s.init(0, file)
	finish(0)
	refused(`{`+file+`,"conflictStrategy":"reject"}`, `{"id":"1","code":78123,"message":"file exists already","data":{"fileName":"a.bin"}}`)
	refused(`{`+file+`,"conflictStrategy":"append"}`, `{"id":"1","code":78123,"message":"file exists already","data":{"fileName":"a.bin"}}`)
	// Overwriting: the file stays until the new one is complete.
	before := slices.Clone(whole)
	s.init(0, file+`,"initUid":"u1"`)
	first := s.uploadID
	whole[0]++
	s.wantBlock(0, whole[:300], "", 200, "success", 0, "")
	s.init(300, file+`,"initUid":"u1"`) // the same request once more
	if s.uploadID != first {
		t.Error("a repeated init begins another upload")
	}
	s.init(300, file+`,"conflictStrategy":"append"`)
	if h.stored(d, "a.bin") != string(before) {
		t.Error("the old file is gone before the new one is there")
	}
	s.init(0, file+`,"initUid":"u2"`) // a new one
	if s.uploadID == first {
		t.Error("another init goes on with the old upload")
	}
	s.init(0, `"fileName":"a.bin","fileSize":599,"conflictStrategy":"overwrite","initUid":"u2"`) // another file
	s.init(0, file)
	s.wantBlock(0, whole[:256], "", 200, "success", 0, "")
	finish(256)
	if h.stored(d, "a.bin") != string(whole) {
		t.Error("the new file is not there")
	}
	h.wantFiles("1 .bin, 0 .part")

	// Cancelling.
	s.init(0, `"fileName":"c.bin","fileSize":900`)
	s.wantBlock(0, whole[:256], "", 200, "success", 0, "")
	for _, want := range []string{`"code":200,"message":"success"`, `"code":78122,"message":"upload not found"`} {
		if got, want := s.ask("cancel", `{"id":"3","params":{"uploadId":"`+s.uploadID+`"}}`), `{"id":"3",`+want+`,"data":{"uploadId":"`+s.uploadID+`"}}`; got != want {
			t.Errorf("cancel is answered\n     %s\nwant %s", got, want)
		}
	}
	if got := s.ask("cancel", `{"id":"3","params":{}}`); got != `{"id":"3","code":460,"message":"params should have uploadId","data":{"uploadId":""}}` {
		t.Errorf("cancel of nothing: %s", got)
	}
	h.wantFiles("1 .bin, 0 .part")

	// The bounds: two of 16 MB are in that of the device, a third is not; nor is one of unknown size.
	s.init(0, `"fileName":"b1","fileSize":16777216`)
	s.init(0, `"fileName":"b2","fileSize":-1`)
	for _, size := range []string{"1048000", "-1"} {
		if got := s.ask("init", `{"id":1,"params":{"fileName":"b3","fileSize":`+size+`}}`); !strings.HasPrefix(got, `{"id":"1","code":429,`) || !strings.Contains(got, "bytes of the device's files") {
			t.Errorf("a file beyond the bound of the device: %s", got)
		}
	}
	other := &sender{wire: nil, d: h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "other"})}
	other.wire = h.login(other.d)
	if got := other.ask("init", `{"id":1,"params":{"fileName":"b3","fileSize":-1}}`); !strings.Contains(got, "bytes of all devices' files") {
		t.Errorf("a file beyond the bound of all: %s", got)
	}
	other.init(0, `"fileName":"b3","fileSize":1000`)
	h.awaitLog(d, "429")

	off := mustStart(t, func(c *config.Config) { c.Files.UploadBytes = 0 })
	d = off.addSeed()
	s = &sender{wire: off.login(d), d: d}
	refused(`{"fileName":"a","fileSize":1}`, `{"id":"1","code":403,"message":"this server takes no files; files.upload_bytes is 0","data":{"fileName":"a"}}`)
}

// TestStrictUpload: with device.strict a block that was sent twice is refused as the cloud does.
func TestStrictUpload(t *testing.T) {
	h := mustStart(t, func(c *config.Config) { c.Device.Strict = true })
	d := h.addSeed()
	s := &sender{wire: h.login(d), d: d}
	s.init(0, `"fileName":"a","fileSize":600`)
	b := differing(600)
	s.wantBlock(0, b[:300], "", 200, "success", 0, "")
	s.wantBlock(0, b[:300], "", 78126, "block is stored already", 0, "")
	s.wantBlock(300, b[300:], "", 200, "success", 300, `,"complete":true`)
	s.wantBlock(300, b[300:], "", 78124, "upload is finished", 300, "")
}

// TestKillUpload kills the server with signal 9 in the middle of a file. What was acknowledged is there afterwards:
// the device goes on with the block whose answer it did not get, or asks where to go on. The command line lists,
// fetches and deletes the file.
func TestKillUpload(t *testing.T) {
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	d := h.addSeed()
	h.stop()
	content := differing(100_000)
	s := &sender{d: d}
	connect := func() *process {
		t.Helper()
		p := serve(t, cfg.Data)
		conn, err := net.DialTimeout("tcp", p.address, patience)
		if err != nil {
			t.Fatal(err)
		}
		s.wire = newWire(t, conn)
		s.wire.ask(connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300), connected)
		return p
	}
	p := connect()
	const file = `"fileName":"log.txt","fileSize":100000,"conflictStrategy":"append"`
	s.init(0, file)
	s.wantBlock(0, content[:10_000], "", 200, "success", 0, "")
	s.send(publish(sysOf(d, uploadTail+"send"), s.block(10_000, content[10_000:20_000], ""), 0)) // perhaps it is written, perhaps not
	p.kill()

	// What a block left behind that was not written whole is none.
	parts, err := filepath.Glob(filepath.Join(cfg.Data, "uploads", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	f, err := os.OpenFile(parts[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append([]byte{0, 0, 1, 0, 1, 2, 3, 4}, make([]byte, 300)...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	p = connect()
	s.wantBlock(10_000, content[10_000:20_000], "", 200, "success", 10_000, "") // again, or for the first time
	s.wantBlock(20_000, content[20_000:50_000], "", 200, "success", 20_000, "")
	p.kill()
	p = connect()
	s.init(50_000, file)
	s.wantBlock(50_000, content[50_000:], `,"isComplete":true`, 200, "success", 50_000, `,"complete":true`)
	p.kill()
	connect()
	s.wantBlock(50_000, content[50_000:], `,"isComplete":true`, 200, "success", 50_000, `,"complete":true`)

	device := d.ProductKey + "/" + d.DeviceName
	if out := linkstead(t, 0, "file", "list", device, "--data", cfg.Data); !strings.Contains(out, "log.txt  100000  yes") {
		t.Errorf("the list is\n%s", out)
	}
	to := filepath.Join(t.TempDir(), "copy")
	linkstead(t, 0, "file", "get", device, "log.txt", to, "--data", cfg.Data)
	if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes were fetched, %v", len(b), err)
	}
	linkstead(t, 2, "file", "get", device, "log.txt", to, "--data", cfg.Data)
	linkstead(t, 3, "file", "get", device, "nothing", to+"2", "--data", cfg.Data)
	linkstead(t, 2, "file", "get", device, "../records/records.db", "--data", cfg.Data)
	linkstead(t, 3, "file", "get", device, "../records/records.db", to+"2", "--data", cfg.Data)
	linkstead(t, 0, "file", "delete", device, "log.txt", "--data", cfg.Data)
	linkstead(t, 3, "file", "delete", device, "log.txt", "--data", cfg.Data)
	if left, err := os.ReadDir(filepath.Join(cfg.Data, "uploads")); err != nil || len(left) != 0 {
		t.Errorf("there is left %v, %v", left, err)
	}
}
