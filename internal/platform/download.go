package platform

import (
	"encoding/binary"
	"errors"
	"io"
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// maxBlock is the largest block of a file over MQTT (spec/services.md §3).
const maxBlock = 128 << 10

// maxBlockID bounds the ids of requests for blocks, in bytes: the header that repeats
// them has at most 65,535.
const maxBlockID = 256

// download sends a block of firmware over MQTT: a JSON header with its length in
// front, the bytes, and their checksum.
func (p *Platform) download(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if err := w.decoder.Request(x.Payload, &w.request); err != nil {
		p.remark(d, t, alink.CodeNotJSON, err.Error())
		x.Reply([]byte(t.ReplyTopic()), appendBlockFailure(nil, "", alink.CodeNotJSON, ""))
		return true
	}
	if len(w.request.ID) > maxBlockID {
		p.remark(d, t, alink.CodeParameter, "the id is longer than "+strconv.Itoa(maxBlockID)+" bytes")
		x.Reply([]byte(t.ReplyTopic()), appendBlockFailure(nil, "", alink.CodeParameter, ""))
		return true
	}
	id := string([]byte(w.request.ID))
	raw := w.request.Params.AppendJSON(nil)
	queued := later(p.lookup, func() {
		var parser devjson.Parser
		params, _ := parser.ParseStrict(raw)
		reply, a, err := p.block(d, id, params)
		if err != nil {
			a, err = p.classify(err)
		}
		if err == nil && a.code != 0 {
			p.remark(d, t, a.code, a.message)
			reply = appendBlockFailure(nil, id, a.code, a.message)
		}
		if err == nil {
			x.Reply([]byte(t.ReplyTopic()), reply)
		}
		x.Done(err)
	})
	if !queued {
		x.Reply([]byte(t.ReplyTopic()), appendBlockFailure(nil, id, alink.CodeBusy, ""))
	}
	return !queued
}

// blockRequest is what a device asks for.
type blockRequest struct {
	stream, size, offset int64
	token                string
	hasToken             bool
}

// blockIn reads the parameters of a request; why says what is wrong with them.
func blockIn(params devjson.Value) (r blockRequest, why string) {
	info, part := params.Get("fileInfo"), params.Get("fileBlock")
	var ok1, ok3, ok4 bool
	r.stream, ok1 = info.Get("streamId").Int64()
	file, ok2 := info.Get("fileId").Int64()
	r.size, ok3 = part.Get("size").Int64()
	r.offset, ok4 = part.Get("offset").Int64()
	r.token, r.hasToken = params.Get("fileToken").Str()
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4:
		return r, "fileInfo should have streamId and fileId, fileBlock size and offset"
	case r.size < 1 || r.size > maxBlock || r.offset < 0:
		return r, "a block has 1 to 131072 bytes and begins at 0 or later"
	case file != 1 || len(r.token) > 256:
		return r, "there is only file 1"
	}
	return r, ""
}

// block reads the block a device asks for; an answer with a code says why there is
// none.
func (p *Platform) block(d *device, id string, params devjson.Value) ([]byte, answer, error) {
	r, why := blockIn(params)
	if why != "" {
		return nil, refuse(alink.CodeParameter, why), nil
	}
	size, offset := r.size, r.offset
	k, err := p.store.Task(p.ctx, r.stream)
	if errors.Is(err, store.ErrNotFound) || err == nil && (k.DeviceID != d.id || k.State.Final() || k.Package.Size > MaxMQTTPackage) {
		return nil, refuse(alink.CodeNotFound, "there is no such stream for this device"), nil
	}
	if err != nil {
		return nil, answer{}, err
	}
	if offset >= k.Package.Size {
		return nil, refuse(alink.CodeParameter, "the offset is behind the end of the file"), nil
	}
	size = min(size, k.Package.Size-offset)
	f, err := p.openPackage(k.Package.ID)
	if err != nil {
		return nil, answer{}, err
	}
	defer func() { _ = f.Close() }()
	header := devjson.AppendString([]byte(`{"id":`), id)
	header = append(header, `,"code":200,"data":{`...)
	if r.hasToken {
		header = append(devjson.AppendString(append(header, `"fileToken":`...), r.token), ',')
	}
	header = strconv.AppendInt(append(header, `"fileLength":`...), k.Package.Size, 10)
	header = strconv.AppendInt(append(header, `,"bSize":`...), size, 10)
	header = strconv.AppendInt(append(header, `,"bOffset":`...), offset, 10)
	header = append(header, "}}"...)
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, offset, size), data); err != nil {
		return nil, answer{}, err
	}
	return alink.AppendBlock(nil, header, data), answer{}, nil
}

// appendBlockFailure appends a header without a block.
func appendBlockFailure(dst []byte, id string, code alink.Code, message string) []byte {
	if message == "" {
		message = code.Message()
	}
	header := devjson.AppendString([]byte(`{"id":`), id)
	header = strconv.AppendInt(append(header, `,"code":`...), int64(code), 10)
	header = devjson.AppendString(append(header, `,"msg":`...), message)
	header = append(header, `,"data":{}}`...)
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(header))), header...)
}
