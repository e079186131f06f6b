package queue

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Damage is what Open found damaged and how it went on.
type Damage struct {
	// Aside is the folder that the damaged store was moved to; nothing of it is
	// ever deleted.
	Aside string
	Files []DamagedFile
	Rescued
}

const (
	asideMark   = ".damaged-" // and the time: a store that was set aside
	rescueMark  = ".rescuing" // a rescue under way
	rescuedMark = ".rescued"  // one that is complete, to take the damaged store's place
	reportName  = "DAMAGE.txt"
)

// SetAside lists the folders of damaged stores beside a store.
func SetAside(fs vfs.FS, dir string) []string {
	names, err := fs.List(fs.PathDir(dir))
	if err != nil {
		return nil
	}
	var aside []string
	for _, name := range names {
		if strings.HasPrefix(name, fs.PathBase(dir)+asideMark) {
			aside = append(aside, fs.PathJoin(fs.PathDir(dir), name))
		}
	}
	return aside
}

// contain looks a store through before it is opened. A damaged one is set aside,
// and what can be read of it takes its place; with Options.StopOnDamage the error
// says what is damaged, and everything stays as it is.
func contain(o *Options) (*Damage, error) {
	k, err := inspect(o.FS, o.Dir)
	if err != nil {
		return nil, describeOpen(o.Dir, err)
	}
	for _, t := range k.torn {
		o.Logger.Warn("the end of a log of the message store is incomplete, as after a power cut; what was acknowledged with durability disk lies before it",
			"folder", o.Dir, "file", t.Name, "what", t.What)
	}
	if len(k.damaged) == 0 {
		return nil, nil
	}
	for _, d := range k.damaged {
		o.Logger.Error("a file of the message store is damaged", "store", "messages", "folder", o.Dir, "file", d.Name, "what", d.What)
	}
	if o.StopOnDamage {
		return nil, fmt.Errorf("%w: the message store in %s is damaged and the server is told to stop then (on_damage): %s: restore the folder from a backup, or start once with on_damage = \"contain\" to go on with what can be read",
			ErrCorrupt, o.Dir, list(k.damaged))
	}
	began := time.Now()
	target := o.Dir + rescueMark
	rescued, err := k.rescue(target)
	if err != nil {
		return nil, fmt.Errorf("queue: the message store in %s is damaged (%s) and what can be read of it cannot be written anew beside it: see that the disk has room for it, or restore the folder from a backup: %w",
			o.Dir, list(k.damaged), err)
	}
	d := &Damage{Files: k.damaged, Rescued: rescued}
	if err := k.report(target, d, began); err != nil {
		return nil, err
	}
	if err := o.FS.Rename(target, o.Dir+rescuedMark); err != nil {
		return nil, err
	}
	if d.Aside, err = exchange(o.FS, o.Dir, began); err != nil {
		return nil, err
	}
	o.Logger.Error("the message store was damaged: the server goes on with what could be read, and the damaged files are set aside",
		"set_aside", d.Aside, "sessions", d.Sessions, "messages", d.Messages, "retained", d.Retained, "orphans", d.Orphans, "took", time.Since(began),
		"hint", "what is missing is named in "+reportName+" there; restore a backup to have it, publish retained messages again, and delete the folder once nothing in it is needed")
	return d, nil
}

func list(files []DamagedFile) string {
	var text []string
	for _, d := range files {
		text = append(text, d.String())
	}
	return strings.Join(text, "; ")
}

// report writes what was found into the rescued store, from which it goes along
// with the damaged one.
func (k *look) report(dir string, d *Damage, at time.Time) (err error) {
	f, err := k.fs.Create(k.fs.PathJoin(dir, reportName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "The message store (sessions, queues, retained messages) was found damaged on %s:\n\n", at.UTC().Format(time.RFC3339))
	for _, file := range d.Files {
		if err == nil {
			_, err = fmt.Fprintf(f, "  %s\n", file)
		}
	}
	if err == nil {
		_, err = io.WriteString(f, "\n"+d.describe()+". What is missing lies in the files named above. A message that had been\nacknowledged may be there again. This folder is the store as it was found; the server does not use it.\n")
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// exchange puts a rescued store in the place of a damaged one, if there is a
// rescued one; a start that was interrupted in the middle of it is finished by the
// next.
func exchange(fs vfs.FS, dir string, now time.Time) (aside string, err error) {
	rescued := dir + rescuedMark
	if _, err := fs.Stat(rescued); err != nil {
		return "", nil
	}
	aside = dir + asideMark + now.UTC().Format("20060102T150405Z")
	if _, err := fs.Stat(dir); err == nil {
		for n := 2; ; n++ {
			if _, err := fs.Stat(aside); err != nil {
				break
			}
			aside = fmt.Sprintf("%s%s%s-%d", dir, asideMark, now.UTC().Format("20060102T150405Z"), n)
		}
		if err := fs.Rename(dir, aside); err != nil {
			return "", fmt.Errorf("queue: the damaged message store in %s cannot be set aside: %w", dir, err)
		}
	} else if all := SetAside(fs, dir); len(all) > 0 { // interrupted after it was set aside
		aside = all[len(all)-1]
	}
	if err := fs.Rename(rescued, dir); err != nil {
		return "", fmt.Errorf("queue: what was rescued of the message store cannot take its place: %w", err)
	}
	if _, err := fs.Stat(aside); err == nil {
		if err := fs.Rename(fs.PathJoin(dir, reportName), fs.PathJoin(aside, reportName)); err != nil {
			return "", err
		}
	}
	above, err := fs.OpenDir(fs.PathDir(dir))
	if err != nil {
		return "", err
	}
	return aside, errors.Join(above.Sync(), above.Close())
}

// lockFolder takes the lock of a store's folder.
func lockFolder(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("queue: the message store in %s is in use by another process, or its folder is not writable: stop the other server first: %w", dir, err)
	}
	return lock, nil
}
