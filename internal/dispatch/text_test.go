package dispatch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// schedule is when an event is tried again, in words.
func schedule() string {
	var words []string
	for _, pause := range order.RetryPauses {
		switch {
		case pause < time.Minute:
			words = append(words, fmt.Sprintf("%.0f s", pause.Seconds()))
		case pause < time.Hour:
			words = append(words, fmt.Sprintf("%.0f min", pause.Minutes()))
		default:
			words = append(words, fmt.Sprintf("%.0f h", pause.Hours()))
		}
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// Documents say the numbers that the code has.
func TestTextsSayTheNumbers(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		data, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(data)), " ")
	}
	thousands := func(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }
	field, _ := contract.OrderIntercept.Field("bizOrder")
	for text, words := range map[string][]string{
		read("reverse-call.md"): {
			fmt.Sprintf("(%.0f s unless given, at most %.0f s)", order.DefaultTimeout.Seconds(), order.MaxTimeout.Seconds()), fmt.Sprintf("at most %d sub orders each", contract.MaxCallback),
		},
		read("decisions/0010-the-reverse-call.md"): {
			"`max_in_flight`* (" + thousands(order.DefaultMaxWaiting) + " unless given)", thousands(order.MaxLocks) + " locks", fmt.Sprintf("stored again for %d seconds", insistTimes*int(insistEvery.Seconds())),
			thousands(field.MaxChars) + " characters", thousands(contract.MaxSubOrders) + " entries of sub orders",
		},
		read("delivery.md"): {
			"again after " + schedule() + ", each up to a fifth longer", fmt.Sprintf("The last %d attempts", order.KeptAttempts), fmt.Sprintf("up to %d KiB of the answer", MaxAnswer>>10),
			fmt.Sprintf("at most `max_in_flight` (%d)", order.DefaultMaxInFlight), fmt.Sprintf("a window of %s events (or four times `max_in_flight`, if that is more) or %d MiB, of %d events while it is down", thousands(leastCapacity), maxBytes>>20, downWindow),
			fmt.Sprintf("the last %s events or %d MiB", thousands(tailEvents), tailBytes>>20), fmt.Sprintf("`%s.<api>` without a path", defaultPrefix), "`" + order.EventTest + "`",
			map[time.Duration]string{time.Second: "after a second at first", time.Minute: ""}[firstProbe] + map[time.Duration]string{time.Minute: " and at most a minute apart"}[lastProbe],
			map[time.Duration]string{24 * time.Hour: "are obeyed up to a day"}[maxPause],
		},
		read("decisions/0011-delivery.md"): {
			fmt.Sprintf("at most every %d ms", recordEvery.Milliseconds()), thousands(maxSessions) + " of them", map[int]string{5: "after five silences"}[manyFailures],
		},
		read("architecture.md"):  {fmt.Sprintf("at most every %d ms", recordEvery.Milliseconds())},
		contract.ParseError.When: {fmt.Sprintf("%d KiB", MaxAnswer>>10)},
	} {
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%.60s… does not say %q", text, w)
			}
		}
	}
}
