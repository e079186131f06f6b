package server

import (
	"bufio"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// filesKey is the key that addresses of files are signed with; it follows from the
// master key, so that addresses outlive a restart.
func filesKey(master []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, master, nil, "linkstead files: addresses", 32)
}

// serveFiles listens for downloads, if the configuration says so.
func (s *Server) serveFiles() error {
	if s.config.Files.Listen == "" {
		return nil
	}
	ln, err := net.Listen("tcp", s.config.Files.Listen)
	if err != nil {
		return fmt.Errorf("downloads cannot listen on %s: %w; choose another address in files.listen", s.config.Files.Listen, err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	s.filesServer = &http.Server{
		Handler: http.HandlerFunc(s.Platform.ServeFile), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	two := &eitherListener{Listener: ln, config: func() *tls.Config {
		c := s.certificate.Config().Clone()
		c.NextProtos = []string{"http/1.1"}
		return c
	}, found: make(chan net.Conn), done: make(chan struct{}), slots: make(chan struct{}, maxSniffing)}
	go two.accept()
	go func() { _ = s.filesServer.Serve(two) }()
	s.filesAddr = ln.Addr().String()
	s.Platform.ServeFiles(port)
	return nil
}

// FilesAddress is where downloads are served, "" if they are not.
func (s *Server) FilesAddress() string { return s.filesAddr }

// maxSniffing is how many connections may be without a first byte.
const maxSniffing = 1000

// eitherListener takes TLS and plain connections, told apart by their first byte.
type eitherListener struct {
	net.Listener
	config func() *tls.Config
	found  chan net.Conn
	slots  chan struct{}
	done   chan struct{}
	once   sync.Once
	err    error // why accepting ended, before done is closed
}

func (l *eitherListener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			l.err = err
			l.once.Do(func() { close(l.done) })
			return
		}
		select {
		case l.slots <- struct{}{}:
			go l.sniff(c)
		default:
			_ = c.Close()
		}
	}
}

func (l *eitherListener) sniff(c net.Conn) {
	defer func() { <-l.slots }()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := bufio.NewReaderSize(c, 16)
	first, err := b.Peek(1)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var conn net.Conn = &peeked{Conn: c, rest: b}
	if first[0] == 0x16 { // a TLS handshake
		conn = tls.Server(conn, l.config())
	}
	select {
	case l.found <- conn:
	case <-l.done:
		_ = c.Close()
	}
}

// Accept returns the next connection whose first byte came.
func (l *eitherListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.found:
		return c, nil
	case <-l.done:
		return nil, l.err
	}
}

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	net.Conn
	rest *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) {
	if p.rest != nil {
		if p.rest.Buffered() > 0 {
			return p.rest.Read(b)
		}
		p.rest = nil
	}
	return p.Conn.Read(b)
}
