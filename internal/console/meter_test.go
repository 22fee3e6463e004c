package console

import (
	"testing"
	"time"
)

// Rates are those of whole steps, of the last hour at most, from where something was
// counted.
func TestMeter(t *testing.T) {
	t.Parallel()
	var m Meter
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	if s := m.last(at, meterSteps); len(s.Times) != shortest || s.Accepted[0] != 0 {
		t.Errorf("of nothing %d steps: %v", len(s.Times), s)
	}
	for i := range 1000 { // more than an hour, ten and one in a step
		for range 10 {
			m.Count(at.Add(time.Duration(i)*meterStep), true)
		}
		m.Count(at.Add(time.Duration(i)*meterStep), false)
	}
	now := at.Add(1000 * meterStep)
	s := m.last(now, meterSteps)
	if len(s.Times) != meterSteps || s.Times[0] != now.Add(-meterSteps*meterStep).Unix() {
		t.Fatalf("%d steps from %d", len(s.Times), s.Times[0])
	}
	for i := range s.Times {
		if s.Accepted[i] != 1 || s.Refused[i] != 0.1 {
			t.Errorf("step %d: %v accepted, %v refused in a second", i, s.Accepted[i], s.Refused[i])
		}
	}
	if s := m.last(now.Add(100*meterStep), meterSteps); s.Accepted[len(s.Accepted)-1] != 0 || s.Accepted[0] != 1 {
		t.Errorf("later: %v", s.Accepted)
	}
}
