package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// The limits of file uploads over MQTT (spec/services.md §9, spec/connect.md §14).
const (
	MaxUpload    = 16 << 20 // bytes of a file
	minBlock     = 256      // bytes of a block that is not the last
	maxFileName  = 100
	maxFileTags  = 4 << 10
	maxInitText  = 128
	uploadLife   = 24 * time.Hour
	uploadSweeps = time.Hour
)

// maxUploadsWaiting is how many bytes of blocks may wait to be written.
const maxUploadsWaiting = 32 << 20

// uploads are the workers that write devices' files. A device is always on the same
// one, so its blocks stay in order and nobody else touches its parts.
type uploads struct {
	queues  [4]uploadQueue
	waiting atomic.Int64 // bytes
}

type uploadQueue struct {
	jobs  chan func()
	parts map[string]*part // by upload id; of the worker alone
}

// maxParts is how many parts a worker remembers; others are read again.
const maxParts = 1000

func (u *uploads) init() {
	for i := range u.queues {
		u.queues[i] = uploadQueue{jobs: make(chan func(), 1024), parts: map[string]*part{}}
	}
}

func (u *uploads) of(deviceID int64) *uploadQueue {
	return &u.queues[uint64(deviceID)%uint64(len(u.queues))]
}

// uploadAnswer is what a device is told of its upload.
type uploadAnswer struct {
	id      string
	code    alink.Code
	data    []byte // JSON
	message string // "" is the code's own
	silent  bool   // the device wants no answer
}

// upload takes a device's request to send a file, a block of it, or its end by a
// change of mind (spec/services.md §9).
func (p *Platform) uploadFile(d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	size := int64(len(x.Payload))
	q := p.uploads.of(d.id)
	queued := p.uploads.waiting.Add(size) <= maxUploadsWaiting
	if queued {
		payload := slices.Clone(x.Payload)
		queued = later(q.jobs, func() {
			defer p.uploads.waiting.Add(-size)
			var a uploadAnswer
			var err error
			switch t.Kind {
			case alink.FileUploadInit:
				a, err = p.beginUpload(q, d, payload)
			case alink.FileUploadSend:
				a, err = p.takeBlock(q, d, payload)
			default:
				a, err = p.cancelUpload(q, d, payload)
			}
			if errors.Is(err, store.ErrNotFound) { // the device or the upload was deleted meanwhile
				a, err = refusedUpload(payload, t.Kind, alink.CodeUploadNotFound), nil
			}
			if err != nil {
				p.storeFailed(err)
			} else {
				p.answerUpload(d, t, x, a)
			}
			x.Done(err)
		})
	}
	if !queued {
		p.uploads.waiting.Add(-size)
		p.answerUpload(d, t, x, refusedUpload(x.Payload, t.Kind, alink.CodeUploadThrottled))
		return true
	}
	return false
}

func (p *Platform) answerUpload(d *device, t alink.Topic, x *broker.Exchange, a uploadAnswer) {
	if a.code != alink.CodeSuccess {
		p.remark(d, t, a.code, a.message)
	}
	if !a.silent {
		x.Reply([]byte(t.ReplyTopic()), alink.AppendSessionReply(nil, a.code, a.data, a.id, a.message))
	}
}

// refusedUpload answers a message that was not looked at further: its sender knows
// the answer by what it repeats.
func refusedUpload(payload []byte, kind alink.TopicKind, code alink.Code) uploadAnswer {
	if kind == alink.FileUploadSend {
		h, _, a := parseBlock(payload)
		if a.code == 0 {
			a = h.answer(code, h.offset, "")
		}
		return a
	}
	r, a := readUpload(payload)
	switch {
	case a.code != 0:
		return a
	case kind == alink.FileUploadInit:
		return r.named(code, textOf(r.params.Get("fileName")), "")
	}
	return r.called(code, textOf(r.params.Get("uploadId")), "")
}

// uploadRequest is the envelope of an init, of a cancel and of a block's header.
type uploadRequest struct {
	id     string
	silent bool
	params devjson.Value
}

func readUpload(payload []byte) (r uploadRequest, refused uploadAnswer) {
	var decoder alink.Decoder
	var in alink.Request
	if err := decoder.Request(payload, &in); err != nil {
		return r, uploadAnswer{code: alink.CodeFailed, message: err.Error()}
	}
	r = uploadRequest{in.ID, !in.Ack, in.Params}
	if r.params.Kind() != devjson.Object {
		return r, r.answer(alink.CodeParameter, nil, "params should be an object")
	}
	return r, refused
}

func (r *uploadRequest) answer(code alink.Code, data []byte, message string) uploadAnswer {
	return uploadAnswer{id: r.id, code: code, data: data, message: message, silent: r.silent}
}

// named answers an init: clients find their upload by the name of the file.
func (r *uploadRequest) named(code alink.Code, name, message string) uploadAnswer {
	return r.answer(code, append(devjson.AppendString([]byte(`{"fileName":`), clip(name)), '}'), message)
}

// called answers a cancel.
func (r *uploadRequest) called(code alink.Code, upload, message string) uploadAnswer {
	return r.answer(code, append(devjson.AppendString([]byte(`{"uploadId":`), clip(upload)), '}'), message)
}

// validFileName reports whether a name is one that devices may give: 1 to 100
// letters, digits, underscores and points, the first a letter or digit. It never
// becomes a path here, but may on the machine of whoever fetches the file.
func validFileName(name string) bool {
	if name == "" || len(name) > maxFileName || name[0] == '.' || name[0] == '_' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// uploadInit is what an init asks for.
type uploadInit struct {
	name, strategy, sum, init, tags string
	size                            int64
}

func (r *uploadRequest) parseInit() (in uploadInit, code alink.Code, message string) {
	in.name = textOf(r.params.Get("fileName"))
	in.init = textOf(r.params.Get("initUid"))
	in.strategy = textOf(r.params.Get("conflictStrategy"))
	if in.strategy == "" {
		in.strategy = "overwrite"
	}
	size, ok := integerOf(r.params.Get("fileSize"))
	mode, sum := textOf(r.params.Get("ficMode")), textOf(r.params.Get("ficValue"))
	if tags := r.params.Get("extraParams").Get("fileTag"); tags.Exists() {
		in.tags = string(tags.AppendJSON(nil))
	}
	in.size = size
	_, err := strconv.ParseUint(sum, 16, 64)
	switch {
	case !validFileName(in.name):
		return in, alink.CodeParameter, "fileName should have 1 to 100 letters, digits, underscores and points, the first a letter or digit"
	case !ok || size < -1 || size == 0:
		return in, alink.CodeParameter, "fileSize should be the number of bytes, or -1 if it is not known"
	case size > MaxUpload:
		return in, alink.CodeFileTooLarge, ""
	case in.strategy != "overwrite" && in.strategy != "append" && in.strategy != "reject":
		return in, alink.CodeParameter, "conflictStrategy should be overwrite, append or reject"
	case mode != "" && !strings.EqualFold(mode, "crc64"):
		return in, alink.CodeParameter, "ficMode should be crc64"
	case mode != "" && err != nil:
		return in, alink.CodeParameter, "ficValue should be the checksum in hexadecimal digits"
	case len(in.init) > maxInitText || len(in.tags) > maxFileTags:
		return in, alink.CodeParameter, "initUid has at most 128 bytes, fileTag at most 4096"
	}
	if mode != "" {
		in.sum = sum
	}
	return in, 0, ""
}

// integerOf reads a number, or a text of digits as hand-written clients send it.
func integerOf(v devjson.Value) (int64, bool) {
	if n, ok := v.Int64(); ok {
		return n, true
	}
	n, err := strconv.ParseInt(textOf(v), 10, 64)
	return n, err == nil
}

// isTrue reads true, or its text as hand-written clients send it.
func isTrue(v devjson.Value) bool {
	return v.Kind() == devjson.Bool && v.Bool() || strings.EqualFold(textOf(v), "true")
}

// beginUpload answers an init: with a new upload, or with one that is under way.
func (p *Platform) beginUpload(q *uploadQueue, d *device, payload []byte) (uploadAnswer, error) {
	r, refused := readUpload(payload)
	if refused.code != 0 {
		return refused, nil
	}
	in, code, message := r.parseInit()
	if code != 0 {
		return r.named(code, in.name, message), nil
	}
	s := p.settings.Load()
	if s.UploadBytes <= 0 {
		return r.named(alink.CodeForbidden, in.name, "this server takes no files; files.upload_bytes is 0"), nil
	}
	under, err := p.store.DeviceFile(p.ctx, d.id, in.name, false)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return uploadAnswer{}, err
	}
	// The same request once more, or the same file again: what came stays.
	if err == nil && under.Size == in.size && under.ClientSum == in.sum && (in.strategy == "append" || in.init != "" && in.init == under.Init) {
		part, err := p.part(q, under)
		if err != nil {
			return uploadAnswer{}, err
		}
		return r.begun(part), nil
	}
	if in.strategy != "overwrite" {
		if _, err := p.store.DeviceFile(p.ctx, d.id, in.name, true); err == nil {
			return r.named(alink.CodeFileExists, in.name, ""), nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return uploadAnswer{}, err
		}
	}
	reserved := in.size
	if reserved < 0 {
		reserved = MaxUpload
	}
	if err := store.MakeDir(p.files.options.UploadDir); err != nil {
		return uploadAnswer{}, fmt.Errorf("the directory of devices' files cannot be made: %w", err)
	}
	record, replaced, err := p.store.BeginUpload(p.ctx, store.DeviceFile{DeviceID: d.id, Name: in.name, Init: in.init, Size: in.size, Reserved: reserved,
		ClientSum: in.sum, Tags: in.tags}, s.UploadDeviceBytes, s.UploadBytes)
	if errors.Is(err, store.ErrLimit) {
		return r.named(alink.CodeTooManyRequests, in.name, err.Error()), nil
	}
	if err != nil {
		return uploadAnswer{}, err
	}
	if replaced != 0 {
		delete(q.parts, under.UploadID)
		p.removeUpload(replaced)
	}
	part, err := p.part(q, record)
	if err != nil {
		return uploadAnswer{}, err
	}
	return r.begun(part), nil
}

// begun answers an init with where to go on.
func (r *uploadRequest) begun(part *part) uploadAnswer {
	f := &part.record
	b := devjson.AppendString([]byte(`{"fileName":`), f.Name)
	b = devjson.AppendString(append(b, `,"uploadId":`...), f.UploadID)
	b = strconv.AppendInt(append(b, `,"offset":`...), part.size, 10)
	b = strconv.AppendInt(append(b, `,"fileSize":`...), f.Size, 10)
	return r.answer(alink.CodeSuccess, append(b, '}'), "")
}

// part gives the bytes of an upload that is under way. It runs on the device's queue.
func (p *Platform) part(q *uploadQueue, record store.DeviceFile) (*part, error) {
	if part := q.parts[record.UploadID]; part != nil {
		return part, nil
	}
	part, err := openPart(p.partPath(record.ID), record)
	if err != nil {
		return nil, err
	}
	if len(q.parts) >= maxParts {
		clear(q.parts)
	}
	q.parts[record.UploadID] = part
	return part, nil
}

func (p *Platform) uploadPath(id int64) string {
	return filepath.Join(p.files.options.UploadDir, strconv.FormatInt(id, 10)+".bin")
}

func (p *Platform) partPath(id int64) string {
	return filepath.Join(p.files.options.UploadDir, strconv.FormatInt(id, 10)+".part")
}

// removeUpload removes the bytes of a file. What cannot be removed now is removed by
// a sweep: it has no record any more.
func (p *Platform) removeUpload(id int64) {
	_ = os.Remove(p.partPath(id))
	_ = os.Remove(p.uploadPath(id))
}

// uploadBlock is the header of a block.
type uploadBlock struct {
	uploadRequest
	upload       string
	offset, size int64
	last         bool
}

// parseBlock reads a block of a device. A refusal has a code.
func parseBlock(payload []byte) (h uploadBlock, data []byte, refused uploadAnswer) {
	b, err := alink.SplitBlock(payload)
	if err != nil {
		return h, nil, uploadAnswer{code: alink.CodeFailed, message: err.Error()}
	}
	r, refused := readUpload(b.Header)
	if refused.code != 0 {
		return h, nil, refused
	}
	h = uploadBlock{uploadRequest: r, upload: textOf(r.params.Get("uploadId"))}
	var ok1, ok2 bool
	h.offset, ok1 = integerOf(r.params.Get("offset"))
	h.size, ok2 = integerOf(r.params.Get("bSize"))
	h.last = isTrue(r.params.Get("isComplete"))
	switch {
	case h.upload == "" || !ok1 || !ok2 || h.offset < 0 || h.size < 0:
		return h, nil, h.answer(alink.CodeParameter, max(h.offset, 0), "params should have uploadId, offset and bSize")
	case h.size > maxBlock:
		return h, nil, h.answer(alink.CodeBlockTooLarge, h.offset, "")
	case h.size != int64(len(b.Data)):
		return h, nil, h.answer(alink.CodeParameter, h.offset, fmt.Sprintf("bSize is %d, but %d bytes came", h.size, len(b.Data)))
	case !b.Intact():
		return h, nil, h.answer(alink.CodeBlockChecksum, h.offset, "")
	}
	return h, b.Data, uploadAnswer{}
}

// answer repeats what a client knows its block by.
func (h *uploadBlock) answer(code alink.Code, offset int64, message string) uploadAnswer {
	return h.uploadRequest.answer(code, append(h.appendData(nil, offset), '}'), message)
}

func (h *uploadBlock) appendData(b []byte, offset int64) []byte {
	b = devjson.AppendString(append(b, `{"uploadId":`...), clip(h.upload))
	b = strconv.AppendInt(append(b, `,"offset":`...), offset, 10)
	return strconv.AppendInt(append(b, `,"bSize":`...), h.size, 10)
}

// ended answers the last block.
func (h *uploadBlock) ended(f *store.DeviceFile, code alink.Code) uploadAnswer {
	b := strconv.AppendBool(append(h.appendData(nil, h.offset), `,"complete":`...), code == alink.CodeSuccess)
	if f.ClientSum != "" {
		b = devjson.AppendString(append(b, `,"ficMode":"crc64","ficValueClient":`...), f.ClientSum)
		b = devjson.AppendString(append(b, `,"ficValueServer":`...), f.ServerSum)
	}
	return h.uploadRequest.answer(code, append(b, '}'), "")
}

// takeBlock takes a block. It is on disk when it is answered, and the file is
// complete and has its name when the last one is.
func (p *Platform) takeBlock(q *uploadQueue, d *device, payload []byte) (uploadAnswer, error) {
	h, data, refused := parseBlock(payload)
	if refused.code != 0 {
		return refused, nil
	}
	f, err := p.store.Upload(p.ctx, d.id, h.upload)
	if errors.Is(err, store.ErrNotFound) {
		return h.answer(alink.CodeUploadNotFound, h.offset, "there is no such upload; the device has to begin again"), nil
	}
	if err != nil {
		return uploadAnswer{}, err
	}
	strict := p.settings.Load().Strict
	if f.Complete {
		if !strict && h.offset+h.size == f.Size { // the answer was lost
			return h.ended(&f, alink.CodeSuccess), nil
		}
		return h.answer(alink.CodeUploadFinished, h.offset, ""), nil
	}
	part, err := p.part(q, f)
	if err != nil {
		return uploadAnswer{}, err
	}
	h.last = h.last || f.Size >= 0 && h.offset+h.size == f.Size
	switch repeated := part.repeats(h.offset, data); {
	case repeated && strict && !h.last:
		return h.answer(alink.CodeBlockRepeated, h.offset, ""), nil
	case repeated:
	case h.offset != part.size:
		return h.answer(alink.CodeBlockOffset, part.size, fmt.Sprintf("the block begins at %d, %d bytes are stored", h.offset, part.size)), nil
	case h.size < minBlock && !h.last:
		return h.answer(alink.CodeBlockTooSmall, h.offset, ""), nil
	case h.offset+h.size > MaxUpload:
		return h.answer(alink.CodeFileTooLarge, h.offset, ""), nil
	case f.Size >= 0 && h.offset+h.size > f.Size, f.Size >= 0 && h.last && h.offset+h.size < f.Size:
		return h.answer(alink.CodeParameter, h.offset, fmt.Sprintf("with this block the file has %d bytes, fileSize was %d", h.offset+h.size, f.Size)), nil
	case h.offset+h.size == 0:
		return h.answer(alink.CodeParameter, h.offset, "the file is empty"), nil
	case h.size > 0:
		if err := part.add(data, p.files.options.Sync); err != nil {
			return uploadAnswer{}, err
		}
	}
	if !h.last {
		return h.answer(alink.CodeSuccess, h.offset, ""), nil
	}
	return p.endUpload(q, d, &h, part)
}

// endUpload makes a file of a part.
func (p *Platform) endUpload(q *uploadQueue, d *device, h *uploadBlock, part *part) (uploadAnswer, error) {
	f := part.record
	var fits bool
	if f.ServerSum, fits = part.sums.text(f.ClientSum); f.ClientSum != "" && !fits {
		if err := p.dropUpload(q, f); err != nil {
			return uploadAnswer{}, err
		}
		return h.ended(&f, alink.CodeFileChecksum), nil
	}
	if err := part.finish(p.uploadPath(f.ID), p.files.options.Sync); err != nil {
		return uploadAnswer{}, err
	}
	replaced, err := p.store.FinishUpload(p.ctx, f, part.size, f.ServerSum)
	if err != nil {
		return uploadAnswer{}, err
	}
	delete(q.parts, f.UploadID)
	_ = os.Remove(p.partPath(f.ID))
	if replaced != 0 {
		p.removeUpload(replaced)
	}
	p.logger.Info("a device has sent a file", "productKey", d.pk, "deviceName", d.dn, "file", f.Name, "bytes", part.size)
	return h.ended(&f, alink.CodeSuccess), nil
}

// dropUpload forgets an upload that is under way.
func (p *Platform) dropUpload(q *uploadQueue, f store.DeviceFile) error {
	if err := p.store.DeleteDeviceFile(p.ctx, f.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	delete(q.parts, f.UploadID)
	p.removeUpload(f.ID)
	return nil
}

// cancelUpload takes a device's change of mind.
func (p *Platform) cancelUpload(q *uploadQueue, d *device, payload []byte) (uploadAnswer, error) {
	r, refused := readUpload(payload)
	if refused.code != 0 {
		return refused, nil
	}
	id := textOf(r.params.Get("uploadId"))
	if id == "" {
		return r.called(alink.CodeParameter, id, "params should have uploadId"), nil
	}
	f, err := p.store.Upload(p.ctx, d.id, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return r.called(alink.CodeUploadNotFound, id, ""), nil
	case err != nil:
		return uploadAnswer{}, err
	case f.Complete:
		return r.called(alink.CodeUploadFinished, id, ""), nil
	}
	if err := p.dropUpload(q, f); err != nil {
		return uploadAnswer{}, err
	}
	return r.called(alink.CodeSuccess, id, ""), nil
}

// onUploads runs f on the queue of a device's uploads and waits for it.
func (p *Platform) onUploads(ctx context.Context, deviceID int64, f func(*uploadQueue) error) error {
	q := p.uploads.of(deviceID)
	ended := make(chan error, 1)
	select {
	case q.jobs <- func() { ended <- f(q) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
}

// sweepUploads forgets uploads that nobody has finished within 24 hours, and removes
// bytes that no record names any more, such as those of devices that were deleted,
// until the platform is closed.
func (p *Platform) sweepUploads() {
	tick := time.NewTicker(uploadSweeps)
	defer tick.Stop()
	for {
		if err := p.sweepUploadsOnce(); err != nil && p.ctx.Err() == nil {
			p.logger.Error("the files of devices could not be looked after; it is tried again in an hour", "error", err)
		}
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			return
		}
	}
}

func (p *Platform) sweepUploadsOnce() error {
	for {
		stale, err := p.store.StaleUploads(p.ctx, p.now().Add(-uploadLife), scheduleBatch)
		if err != nil {
			return err
		}
		for _, f := range stale {
			if err := p.onUploads(p.ctx, f.DeviceID, func(q *uploadQueue) error {
				// It may have been finished meanwhile.
				if now, err := p.store.Upload(p.ctx, f.DeviceID, f.UploadID); err != nil || now.Complete {
					return nil
				}
				return p.dropUpload(q, f)
			}); err != nil {
				return err
			}
		}
		if len(stale) == 0 {
			break
		}
	}
	// The directory is listed before the records: a file has its record first.
	entries, err := os.ReadDir(p.files.options.UploadDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	known, err := p.store.DeviceFileIDs(p.ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, _, _ := strings.Cut(e.Name(), ".")
		if id, err := strconv.ParseInt(text, 10, 64); err == nil && !known[id] {
			if err := os.Remove(filepath.Join(p.files.options.UploadDir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
