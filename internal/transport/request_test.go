package transport

import (
	"strconv"
	"strings"
	"testing"
)

func FuzzContentLength(f *testing.F) {
	for _, head := range []string{"POST / HTTP/1.1\r\nContent-Length: 12", "Content-Length: 1\r\ncontent-length:1", "Content-Length: -1",
		"Transfer-Encoding: chunked", "Content-Length: 99999999999999999999", ":", ""} {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		n, err := contentLength(head)
		if err != nil {
			return
		}
		if n < 0 || n > 1<<31-1 {
			t.Fatalf("a length of %d", n)
		}
		if n > 0 && !strings.Contains(strings.ToLower(head), "content-length") {
			t.Fatalf("a length of %d from %q", n, head)
		}
		if strings.HasPrefix(head, "Content-Length: "+strconv.Itoa(n)+"\r\n") && strings.Contains(strings.ToLower(head), "\r\ntransfer-encoding:") {
			t.Fatal("two ways to say where a body ends were taken")
		}
	})
}
