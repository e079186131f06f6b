package simulate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Shape is how the values of one property go on over time.
type Shape struct {
	kind   string
	a, b   float64
	period time.Duration
}

// shapes lists what [ParseShape] takes, for its errors and for help texts.
var shapes = []struct{ name, arguments, means string }{
	{"walk", "", "a step up or down at each post; numbers without a shape do this"},
	{"random", "[:MIN:MAX]", "any value between the bounds, those of the model if none are given"},
	{"constant", ":VALUE", "always the same"},
	{"sine", ":MEAN:AMPLITUDE:PERIOD", "a wave, sine:20:5:1h"},
	{"ramp", ":MIN:MAX:PERIOD", "from MIN up to MAX in a period, then again"},
	{"count", "[:START]", "one more at each post"},
}

// Shapes describes the shapes, one line for each.
func Shapes() []string {
	var out []string
	for _, s := range shapes {
		out = append(out, fmt.Sprintf("%-28s %s", s.name+s.arguments, s.means))
	}
	return out
}

// ParseShape reads a shape, "sine:20:5:1h". The error lists what there is.
func ParseShape(s string) (Shape, error) {
	parts := strings.Split(s, ":")
	sh := Shape{kind: parts[0]}
	var err error
	number := func(i int) float64 {
		v, e := strconv.ParseFloat(parts[i], 64)
		if e != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			err = errors.Join(err, fmt.Errorf("%q is not a number", parts[i]))
		}
		return v
	}
	switch n := len(parts) - 1; {
	case sh.kind == "walk" && n == 0, sh.kind == "random" && n == 0, sh.kind == "count" && n == 0:
		sh.b = math.NaN()
	case sh.kind == "constant" && n == 1, sh.kind == "count" && n == 1:
		sh.a = number(1)
	case sh.kind == "random" && n == 2:
		sh.a, sh.b = number(1), number(2)
	case (sh.kind == "sine" || sh.kind == "ramp") && n == 3:
		sh.a, sh.b = number(1), number(2)
		d, e := time.ParseDuration(parts[3])
		if e != nil || d <= 0 {
			err = errors.Join(err, fmt.Errorf("%q is not a period such as 90s or 1h", parts[3]))
		}
		sh.period = d
	default:
		err = fmt.Errorf("there is no such shape")
	}
	if err != nil {
		return Shape{}, fmt.Errorf("the shape %q: %w; shapes are\n  %s", s, err, strings.Join(Shapes(), "\n  "))
	}
	return sh, nil
}

// bounds are what the model says of a number.
type bounds struct{ min, max, step float64 }

// series makes the values of one number of one device. The zero value begins
// anywhere within the bounds.
type series struct {
	begun bool
	last  float64
}

// next returns the value after so long a time since the device began.
func (s *series) next(sh Shape, b bounds, since time.Duration, r *rand.Rand) float64 {
	v := 0.0
	switch sh.kind {
	case "constant":
		return sh.a
	case "sine":
		v = sh.a + sh.b*math.Sin(2*math.Pi*float64(since)/float64(sh.period))
	case "ramp":
		v = sh.a + (sh.b-sh.a)*float64(since%sh.period)/float64(sh.period)
	case "count":
		v = sh.a
		if s.begun {
			v = s.last + 1
		}
		if v > b.max {
			v = b.min
		}
	case "random":
		lo, hi := b.min, b.max
		if !math.IsNaN(sh.b) {
			lo, hi = sh.a, sh.b
		}
		v = lo + r.Float64()*(hi-lo)
	default:
		span := b.max - b.min
		if !s.begun {
			v = b.min + span*(0.25+0.5*r.Float64())
			break
		}
		v = min(max(s.last+(r.Float64()-0.5)*max(span/50, 2*b.step), b.min), b.max)
	}
	if b.step > 0 {
		v = b.min + math.Round((v-b.min)/b.step)*b.step
	}
	s.begun, s.last = true, v
	return v
}
