package queue

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	crashDir        = "QUEUE_CRASH_DIR"
	crashDurability = "QUEUE_CRASH_DURABILITY"
	crashWriters    = 4
	crashBatch      = 3
)

// crashPad makes logs and tables rotate within a test.
var crashPad = strings.Repeat("x", 2000)

// runCrashChild is the process that TestKilledProcess kills: writers, each with a
// session of its own, that print what was committed and never stop. Round n of a
// writer appends crashBatch messages and deletes all but the newest ten rounds.
func runCrashChild() bool {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return false
	}
	d, _ := strconv.Atoi(os.Getenv(crashDurability))
	l, err := Open(Options{Dir: dir, Durability: Durability(d), Logger: quiet, memTable: testMemTable})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(2)
	}
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range crashWriters {
		writers.Go(func() {
			sid := SessionID(w + 1)
			_, last, _, _, err := l.Stats(sid)
			for round := last/crashBatch + 1; err == nil; round++ {
				err = submit(l, func(b *Batch) { crashRound(b, sid, round) })
				out.Lock()
				fmt.Println(sid, round)
				out.Unlock()
			}
			fmt.Println("submit:", err)
			os.Exit(2)
		})
	}
	writers.Wait()
	return true
}

func crashRound(b *Batch, sid SessionID, round Seq) {
	for i := Seq(1); i <= crashBatch; i++ {
		m := message(sid, (round-1)*crashBatch+i)
		m.Properties = []byte(crashPad)
		b.Append(sid, (round-1)*crashBatch+i, m)
	}
	if round > 10 {
		b.DeleteThrough(sid, (round-10)*crashBatch)
	}
}

// verifyRounds checks that a session holds exactly what whole rounds leave
// behind, acknowledged ones included, and returns the last round.
func verifyRounds(t *testing.T, l *Log, sid SessionID, acknowledged Seq) Seq {
	t.Helper()
	got := seqs(t, l, sid)
	if len(got) == 0 {
		if acknowledged > 0 {
			t.Fatalf("session %d: round %d was acknowledged and nothing is left", sid, acknowledged)
		}
		return 0
	}
	last := got[len(got)-1]
	if last%crashBatch != 0 {
		t.Errorf("session %d ends within a batch, at %d", sid, last)
	}
	round := last / crashBatch
	if round < acknowledged {
		t.Errorf("session %d: round %d was acknowledged, %d is the last", sid, acknowledged, round)
	}
	first := Seq(1)
	if round > 10 {
		first = (round-10)*crashBatch + 1
	}
	for i, s := range got {
		if s != first+Seq(i) {
			t.Fatalf("session %d: found %d where %d belongs: lost, or deleted and back", sid, s, first+Seq(i))
		}
	}
	return round
}

func TestKilledProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, d := range []Durability{SyncToDisk, WriteToOS} {
		t.Run(d.String(), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, uint64(d)))
			dir := t.TempDir()
			acknowledged := map[SessionID]Seq{}
			for range 6 {
				killAfter(t, dir, d, 1+rnd.IntN(1500), acknowledged)
				l := open(t, Options{Dir: dir, Durability: d, memTable: testMemTable})
				for sid := SessionID(1); sid <= crashWriters; sid++ {
					verifyRounds(t, l, sid, acknowledged[sid])
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("acknowledged rounds: %v", acknowledged)
		})
	}
}

// killAfter runs the child until it printed so many lines, kills it, and notes
// what it acknowledged.
func killAfter(t *testing.T, dir string, d Durability, lines int, acknowledged map[SessionID]Seq) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s=%d", crashDurability, d))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for n := 1; scanner.Scan(); n++ {
		var sid SessionID
		var round Seq
		if _, err := fmt.Sscan(scanner.Text(), &sid, &round); err != nil {
			t.Errorf("child says %q", scanner.Text())
			break
		}
		acknowledged[sid] = max(acknowledged[sid], round)
		if n == lines {
			// What it prints until it is dead counts too: read to the end.
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait()
}
