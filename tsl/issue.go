package tsl

import (
	"fmt"
	"strconv"
	"strings"
)

// maxIssues bounds what one broken document can make [Parse] report.
const maxIssues = 100

// Issue is one mistake in a TSL document.
type Issue struct {
	// Path leads to the mistake: "properties[3].dataType.specs.min". It is empty
	// for the document as a whole.
	Path string
	// Wrong says what was found, such as `is "abc"`.
	Wrong string
	// Want says what should be there instead.
	Want string
}

// String returns the issue as one line.
func (i Issue) String() string {
	path := i.Path
	if path == "" {
		path = "the document"
	}
	return path + ": " + i.Wrong + "; should be " + i.Want
}

// ParseError is what [Parse] returns: every mistake it found, in the document's
// order.
type ParseError struct {
	// Issues holds at most the first 100.
	Issues []Issue
	// More counts those left out.
	More int
}

// Error lists the issues, one a line.
func (e *ParseError) Error() string {
	if len(e.Issues) == 1 && e.More == 0 {
		return "thing model: " + e.Issues[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "thing model: %d mistakes", len(e.Issues)+e.More)
	for _, issue := range e.Issues {
		b.WriteString("\n  ")
		b.WriteString(issue.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\n  and %d more", e.More)
	}
	return b.String()
}

// quoted returns s in quotes, clipped, for the texts of issues.
func quoted(s string) string { return strconv.Quote(clip(s, maxValueShown)) }

// sub and at extend a path by a key and by an index.
func sub(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func at(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }
