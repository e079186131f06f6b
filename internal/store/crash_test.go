package store

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// crashDirEnv makes the test binary the process that is killed.
const (
	crashDirEnv  = "STORE_CRASH_DIR"
	crashSeedEnv = "STORE_CRASH_SEED"
)

const crashSeries = 7

func crashOptions(dir string) Options {
	return Options{Dir: dir, MasterKey: testKey, Durability: DurabilityOS, MaxHeads: 20_000,
		Now: newClock().now, Logger: slog.New(slog.DiscardHandler)}
}

// ackPrinter prints the counter of its points once they are committed.
type ackPrinter struct {
	out   *bufio.Writer
	mu    *sync.Mutex
	text  string
	slots chan struct{}
}

func (a ackPrinter) Committed(err error) {
	if err == nil {
		a.mu.Lock()
		a.out.WriteString(a.text)
		a.out.Flush()
		a.mu.Unlock()
	}
	<-a.slots
}

// crashChild appends points until it is killed. Point n of a series has the time
// t0+n and the value n of the run; now and then it writes an old time again.
func crashChild() {
	s, err := Open(context.Background(), crashOptions(os.Getenv(crashDirEnv)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	seed, _ := strconv.ParseUint(os.Getenv(crashSeedEnv), 10, 64)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dev, err := s.Device(context.Background(), "a1prod", "dev1")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out, mu, slots := bufio.NewWriter(os.Stdout), new(sync.Mutex), make(chan struct{}, 16)
	var next [crashSeries]int64
	for counter := int64(seed) * 1_000_000; ; counter++ {
		var points []Point
		var text strings.Builder
		for range 1 + rnd.IntN(20) {
			i := rnd.IntN(crashSeries)
			at := next[i]
			if rnd.IntN(10) == 0 && at > 0 {
				at = rnd.Int64N(at)
			} else {
				next[i]++
			}
			points = append(points, Point{SeriesKey{dev.ID, Property, fmt.Sprint("p", i)}, t0 + at, Int(counter)})
			fmt.Fprintf(&text, "%d %d %d;", i, at, counter)
		}
		text.WriteByte('\n')
		slots <- struct{}{}
		s.Append(points, ackPrinter{out, mu, text.String(), slots})
	}
}

// TestKilledProcessKeepsWhatItAcknowledged kills a writing process again and
// again and checks after each time that every point it acknowledged is there,
// with the value acknowledged last or one written after it.
func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, crashOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const seed = 20260720
	rnd := rand.New(rand.NewPCG(seed, 1))
	var acked [crashSeries]map[int64]int64
	for i := range acked {
		acked[i] = map[int64]int64{}
	}
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		lines := runAndKill(t, dir, round+1, 20+rnd.IntN(400))
		for _, line := range lines {
			for item := range strings.SplitSeq(strings.TrimSuffix(line, ";"), ";") {
				var i, at, counter int64
				if _, err := fmt.Sscan(item, &i, &at, &counter); err != nil {
					t.Fatalf("%q: %v", item, err)
				}
				acked[i][at] = counter
			}
		}
		s, err := Open(ctx, crashOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		for i, points := range acked {
			got, err := s.Range(ctx, SeriesKey{dev.ID, Property, fmt.Sprint("p", i)}, RangeQuery{Limit: MaxRangeLimit})
			if err != nil {
				t.Fatal(err)
			}
			have := map[int64]int64{}
			for _, p := range got {
				have[p.TimeMS-t0], _ = p.Value.Int64()
			}
			for at, counter := range points {
				if v, ok := have[at]; !ok || v < counter {
					t.Errorf("round %d, seed %d: p%d at %d is %d (%v), acknowledged was %d", round, seed, i, at, v, ok, counter)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill starts the writing process, kills it after so many lines, and
// returns all whole lines it has printed.
func runAndKill(t *testing.T, dir string, seed, after int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir, crashSeedEnv+"="+strconv.Itoa(seed))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if len(lines) == after {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(lines) < after {
		t.Fatalf("the process ended after %d lines, before it was killed at %d", len(lines), after)
	}
	return lines
}
