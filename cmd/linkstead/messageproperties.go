package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/platform"
)

// propertyFlags are the MQTT 5.0 properties that a message is given.
type propertyFlags struct {
	user                                   userProperties
	contentType, responseTopic, correlates string
}

func (f *propertyFlags) register(cmd *cobra.Command) {
	cmd.Flags().Var(&f.user, "user-property", "MQTT 5.0: add a user property `NAME=VALUE`; may be repeated")
	cmd.Flags().StringVar(&f.contentType, "content-type", "", "MQTT 5.0: what `kind` of content the payload is")
	cmd.Flags().StringVar(&f.responseTopic, "response-topic", "", "MQTT 5.0: the `topic` on which an answer is expected")
	cmd.Flags().StringVar(&f.correlates, "correlation", "", "MQTT 5.0: `data` that an answer brings back")
}

// properties gives what the flags say, nil if nothing.
func (f *propertyFlags) properties() *platform.MessageProperties {
	m := platform.MessageProperties{User: f.user, ContentType: f.contentType, ResponseTopic: f.responseTopic}
	if f.correlates != "" {
		m.Correlation = []byte(f.correlates)
	}
	if len(m.User) == 0 && m.ContentType == "" && m.ResponseTopic == "" && m.Correlation == nil {
		return nil
	}
	return &m
}

// userProperties is the value of --user-property.
type userProperties []platform.UserProperty

// String implements pflag.Value: no flag shows a default.
func (u *userProperties) String() string { return "" }

// Type implements pflag.Value.
func (u *userProperties) Type() string { return "NAME=VALUE" }

// Set implements pflag.Value: each use of the flag adds one.
func (u *userProperties) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("it must be NAME=VALUE")
	}
	*u = append(*u, platform.UserProperty{Name: name, Value: value})
	return nil
}

// printProperties prints the properties of a message, one on a line.
func printProperties(w io.Writer, m *platform.MessageProperties) error {
	if m == nil {
		return nil
	}
	for _, line := range m.Lines() {
		if _, err := fmt.Fprintln(w, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
