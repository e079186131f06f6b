package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/linkstead/linkstead/internal/meter"
)

// family is a metric with all its labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// families lists every family, for Describe.
var families []*family

func newFamily(kind prometheus.ValueType, name, help string, labels []string) *family {
	f := &family{prometheus.NewDesc("linkstead_"+name, help, labels, nil), kind}
	families = append(families, f)
	return f
}

func counter(name, help string, labels ...string) *family {
	return newFamily(prometheus.CounterValue, name, help, labels)
}

func gauge(name, help string, labels ...string) *family {
	return newFamily(prometheus.GaugeValue, name, help, labels)
}

// histogram has the buckets of its source, see writer.distribution.
func histogram(name, help string, labels ...string) *family {
	return newFamily(prometheus.UntypedValue, name, help, labels)
}

// writer writes the metrics of one scrape.
type writer struct{ out chan<- prometheus.Metric }

func (w writer) value(f *family, v float64, labels ...string) {
	w.out <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

// count is value for counters that are whole numbers.
func (w writer) count(f *family, n uint64, labels ...string) { w.value(f, float64(n), labels...) }

// distribution writes a histogram; scale is how many of its units make one of those
// shown: 1e9 for nanoseconds shown as seconds.
func (w writer) distribution(f *family, s meter.Snapshot, scale float64, labels ...string) {
	buckets := make(map[float64]uint64, len(s.Bounds))
	var below uint64
	for i, bound := range s.Bounds {
		below += s.Counts[i]
		buckets[float64(bound)/scale] = below
	}
	w.out <- prometheus.MustNewConstHistogram(f.desc, s.Count(), float64(s.Sum)/scale, buckets, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
