package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
)

func newJobCommand() *cobra.Command {
	t := new(target)
	cmd := online(parent(&cobra.Command{
		Use:   "job",
		Short: "Give devices something to do and see how far they are",
		Long: `A job is a document that devices understand, for one or many of them. Each device has a task of
it: QUEUED, SENT, IN_PROGRESS, then SUCCEEDED, FAILED, REJECTED, TIMED_OUT or CANCELLED.`,
		Example: "  linkstead job create reboot --product a1ji0qFv6Jf --document '{\"do\":\"reboot\"}'\n  linkstead job show 1",
	}), t)
	cmd.AddCommand(newJobCreateCommand(t), newJobListCommand(t), newJobShowCommand(t), newJobDeviceCommand(t), newJobCancelCommand(t), newJobDeleteCommand(t))
	return cmd
}

func newJobCreateCommand(t *target) *cobra.Command {
	var in platform.NewJob
	var tag map[string]string
	var document, from, at string
	var retryAfter, timeout, lasts time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Give devices something to do",
		Long: `Makes a job for the devices that fit every one of --product, --device, --tag and --percent that is
given. Those that are online are told at once, or when it begins, others when they connect.`,
		Example: `  linkstead job create reboot --product a1ji0qFv6Jf --document '{"do":"reboot"}'
  linkstead job create calibrate --device a1ji0qFv6Jf/STC15 --document-file steps.json --timeout 10m --retries 2
  linkstead job create sounds --tag room=kitchen --document '{}' --file-url http://nas/sounds.zip --file-sign 9e107d9d372bb6826bd81d3542a419d6`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) (err error) {
			in.Name, in.Document = args[0], json.RawMessage(document)
			if (document == "") == (from == "") {
				return usageError("a job has a document: give --document or --document-file")
			}
			if from != "" {
				if in.Document, err = readArgument(cmd.InOrStdin(), from); err != nil {
					return err
				}
			}
			if !json.Valid(in.Document) {
				return usageError("the document is not JSON")
			}
			if len(tag) > 1 {
				return usageError("--tag is given more than once")
			}
			for in.TagKey, in.TagValue = range tag {
			}
			in.RetryAfterMS, in.TimeoutMS, in.LastsMS = retryAfter.Milliseconds(), timeout.Milliseconds(), lasts.Milliseconds()
			if in.StartAt, err = moment(at, time.Now()); err != nil {
				return err
			}
			r, err := c.CreateJob(cmd.Context(), in)
			if err != nil {
				return err
			}
			return output(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "job %d of %d devices\n", r.ID, r.Devices)
				return err
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&document, "document", "", "what to do, a JSON `object` that the devices understand")
	f.StringVar(&from, "document-file", "", "a `file` with it, - for standard input")
	f.StringVar(&in.Description, "description", "", "a `text` for people")
	f.StringVar(&in.ProductKey, "product", "", "devices of this `product`")
	f.StringSliceVar(&in.Devices, "device", nil, "only this `device`, PRODUCTKEY/DEVICENAME; may be repeated")
	f.StringToStringVar(&tag, "tag", nil, "only devices with this tag, `KEY=VALUE`")
	f.IntVar(&in.Percent, "percent", 0, "only this part of them, always the same devices; 0: all")
	f.StringVar(&in.FileURL, "file-url", "", "the `address` of a file that they fetch for it")
	f.StringVar(&in.FileSign, "file-sign", "", "the file's `digest`, which devices check")
	f.StringVar(&in.SignMethod, "sign-method", "", "Md5 or SHA256: what the digest is; Md5 if not given")
	f.IntVar(&in.Retries, "retries", 0, "how often a device that failed or took too long is told again, at most 5")
	f.DurationVar(&retryAfter, "retry-after", 0, "how long after it failed")
	f.DurationVar(&timeout, "timeout", 0, "how long a device that has begun may take; 0: without end")
	f.DurationVar(&lasts, "lasts", 0, "how long the whole job takes at most; 0: without end")
	f.IntVar(&in.PerMinute, "per-minute", 0, "how many devices are told in a minute; 0: all at once")
	f.StringVar(&at, "at", "", "`when` it begins: 2026-11-23 or '2026-11-23 15:04'; at once if not given")
	return cmd
}

// taskStatuses is the order in which statuses are shown.
var taskStatuses = []string{"QUEUED", "SENT", "IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED"}

func newJobListCommand(t *target) *cobra.Command {
	var before int64
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List jobs, newest first, and how far they are",
		Example: "  linkstead job list",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			list, err := c.Jobs(cmd.Context(), before, limit)
			if err != nil {
				return err
			}
			return output(cmd, list, func(w io.Writer) error {
				var rows [][]string
				for _, j := range list {
					row := []string{strconv.FormatInt(j.ID, 10), j.Name, localTime(j.StartAt)}
					for _, s := range taskStatuses {
						row = append(row, strconv.Itoa(j.Statuses[s]))
					}
					rows = append(rows, row)
				}
				return printTable(w, append([]string{"ID", "NAME", "BEGINS"}, taskStatuses...), rows)
			})
		}),
	}
	cmd.Flags().Int64Var(&before, "before", 0, "only jobs with a smaller `id` than this")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

func newJobShowCommand(t *target) *cobra.Command {
	var after int64
	var limit int
	var status string
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a job and its devices",
		Example: "  linkstead job show 1\n  linkstead job show 1 --status FAILED",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := idArg(args[0])
			if err != nil {
				return err
			}
			j, err := c.Job(cmd.Context(), n)
			if err != nil {
				return err
			}
			tasks, err := c.JobTasks(cmd.Context(), n, after, status, limit)
			if err != nil {
				return err
			}
			both := struct {
				platform.Job
				Tasks []platform.JobTask `json:"tasks"`
			}{j, tasks}
			return output(cmd, both, func(w io.Writer) error {
				if err := printFields(w, [2]string{"name", j.Name}, [2]string{"description", j.Description}, [2]string{"document", string(j.Document)},
					[2]string{"file", j.FileURL}, [2]string{"begins", localTime(j.StartAt)}, [2]string{"ends", localTime(j.EndAt)}, [2]string{"cancelled", yesNo(j.Cancelled)}); err != nil {
					return err
				}
				return printTasks(w, tasks)
			})
		}),
	}
	cmd.Flags().Int64Var(&after, "after", 0, "only tasks with a greater `id` than this")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	cmd.Flags().StringVar(&status, "status", "", "only devices with this `status`, such as FAILED")
	return cmd
}

func printTasks(w io.Writer, tasks []platform.JobTask) error {
	var rows [][]string
	for _, k := range tasks {
		rows = append(rows, []string{strconv.FormatInt(k.JobID, 10), k.ProductKey + "/" + k.DeviceName, k.Status, strconv.Itoa(k.Progress), localTime(k.ChangedAt), string(k.Details), k.Reason})
	}
	return printTable(w, []string{"JOB", "DEVICE", "STATUS", "PERCENT", "SINCE", "DETAILS", "REASON"}, rows)
}

func newJobDeviceCommand(t *target) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "device PRODUCTKEY/DEVICENAME",
		Short:   "Show the tasks of a device, newest first",
		Example: "  linkstead job device a1ji0qFv6Jf/STC15",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			pk, dn, err := deviceArg(args[0])
			if err != nil {
				return err
			}
			tasks, err := c.DeviceTasks(cmd.Context(), pk, dn, limit)
			if err != nil {
				return err
			}
			return output(cmd, tasks, func(w io.Writer) error { return printTasks(w, tasks) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

func newJobCancelCommand(t *target) *cobra.Command {
	return newCancelCommand(t, "Cancel a job for the devices that have not begun", "  linkstead job cancel 1", (*client.Client).CancelJob)
}

func newJobDeleteCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Remove a job and what is known of its devices",
		Example: "  linkstead job delete 1",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			n, err := idArg(args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteJob(cmd.Context(), n); err != nil {
				return err
			}
			return printDone(cmd, "job "+args[0]+" is gone")
		}),
	}
}
