package broker

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a goroutine is left when all servers have stopped.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
