package console

import (
	"sync"
	"time"
)

// A meter counts in steps, of the last while.
const (
	meterStep  = 10 * time.Second
	meterSteps = 360 // an hour
)

// shortest is how many steps a series has at least.
const shortest = 30

// Meter counts calls by their outcome over the last hour. The zero value is at 0.
type Meter struct {
	mu    sync.Mutex
	steps [meterSteps]step // a ring, by time
}

// step is what was counted in one step.
type step struct {
	number   int64 // of the step since 1970
	accepted int64
	refused  int64
}

// Count counts a call.
func (m *Meter) Count(at time.Time, accepted bool) {
	number := at.UnixNano() / int64(meterStep)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.steps[number%meterSteps]
	if s.number != number {
		*s = step{number: number}
	}
	if accepted {
		s.accepted++
	} else {
		s.refused++
	}
}

// series are rates over time, a place each.
type series struct {
	Times    []int64   `json:"t"` // Unix seconds, the oldest first
	Accepted []float64 `json:"a"` // calls in a second
	Refused  []float64 `json:"r"`
}

// last returns the rates of so many steps up to now; the step that is under way is left
// out, and so is what lies before anything was counted, but for a few steps.
func (m *Meter) last(now time.Time, steps int) (s series) {
	current := now.UnixNano() / int64(meterStep)
	m.mu.Lock()
	defer m.mu.Unlock()
	first := current - shortest
	for i := range m.steps {
		if n := m.steps[i].number; n > 0 {
			first = min(first, max(n-1, current-int64(steps)))
		}
	}
	for number := first; number < current; number++ {
		one := m.steps[number%meterSteps]
		if one.number != number {
			one = step{}
		}
		s.Times = append(s.Times, number*int64(meterStep/time.Second))
		s.Accepted = append(s.Accepted, float64(one.accepted)/meterStep.Seconds())
		s.Refused = append(s.Refused, float64(one.refused)/meterStep.Seconds())
	}
	return s
}
