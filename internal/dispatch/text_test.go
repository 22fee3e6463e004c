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
	var all time.Duration
	for _, pause := range callbackPauses {
		all += pause
	}
	tries := map[int]string{5: "five"}[len(callbackPauses)]
	field, _ := contract.OrderIntercept.Field("bizOrder")
	for text, words := range map[string][]string{
		read("reverse-call.md"): {
			fmt.Sprintf("(%.0f s unless given, at most %.0f s)", order.DefaultTimeout.Seconds(), order.MaxTimeout.Seconds()),
			fmt.Sprintf("tried again %s times within %.0f minutes", tries, all.Truncate(15*time.Minute).Minutes()+15), fmt.Sprintf("at most %d sub orders each", contract.MaxCallback),
		},
		read("decisions/0010-the-reverse-call.md"): {
			"`max_in_flight`* (" + thousands(order.DefaultMaxInFlight) + " unless given)", thousands(order.MaxLocks) + " locks", tries + " tries more",
			fmt.Sprintf("up to %s wait in memory for a platform, %d are sent", thousands(maxPending), callbacksAtOnce), fmt.Sprintf("stored again for %d seconds", insistTimes*int(insistEvery.Seconds())),
			thousands(field.MaxChars) + " characters", thousands(contract.MaxSubOrders) + " entries of sub orders",
		},
		contract.ParseError.When: {fmt.Sprintf("%d KiB", MaxAnswer>>10)},
	} {
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%.60s… does not say %q", text, w)
			}
		}
	}
}
