package broker

import "github.com/linkstead/linkstead/internal/queue"

// storage is what the broker asks of the message log; *queue.Log is the real
// one. Tests put one in its place that holds commits back or fails them.
type storage interface {
	GetBatch() *queue.Batch
	PutBatch(*queue.Batch)
	Submit(*queue.Batch, queue.Done)
	Read(id queue.SessionID, after queue.Seq, messages, bytes int) ([]queue.Item, error)
	Sessions(visit func(id queue.SessionID, record []byte) error) error
	Stats(id queue.SessionID) (first, last queue.Seq, count int, bytes int64, err error)
	Received(id queue.SessionID) ([]uint16, error)
	Retained(visit func(id queue.RetainedID, topic string, m *queue.Message) error) error
}

var _ storage = (*queue.Log)(nil)
