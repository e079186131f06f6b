package main

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what version prints: where this binary came from.
type versionInfo struct {
	Version  string `json:"version"`            // of the module, "(devel)" if it was built in a work tree without tags
	Commit   string `json:"commit,omitempty"`   // of the sources, if the build knew it
	Time     string `json:"time,omitempty"`     // of that commit, RFC 3339
	Modified bool   `json:"modified,omitempty"` // whether the sources differed from the commit
	Go       string `json:"go"`                 // version of the compiler
	Platform string `json:"platform"`           // operating system and processor, "linux/amd64"
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print where this binary came from",
		Long:    `Prints the version, the commit it was built from and the Go compiler that built it.`,
		Example: "  linkstead version\n  linkstead version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := buildVersion()
			return output(cmd, v, func(w io.Writer) error { return v.print(w) })
		},
	}
}

// buildVersion reads what the linker recorded about the build.
func buildVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// print writes v for people.
func (v versionInfo) print(w io.Writer) error {
	fields := [][2]string{{"linkstead", v.Version}}
	if v.Commit != "" {
		commit := v.Commit
		if v.Modified {
			commit += " with local changes"
		}
		fields = append(fields, [2]string{"commit", commit}, [2]string{"committed", v.Time})
	}
	return printFields(w, append(fields, [2]string{"go", v.Go}, [2]string{"platform", v.Platform})...)
}
