package dispatch

import (
	"fmt"
	"os"
	"strings"
	"testing"

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
	field, _ := contract.OrderIntercept.Field("bizOrder")
	for text, words := range map[string][]string{
		read("reverse-call.md"): {
			fmt.Sprintf("(%.0f s unless given, at most %.0f s)", order.DefaultTimeout.Seconds(), order.MaxTimeout.Seconds()), fmt.Sprintf("at most %d sub orders each", contract.MaxCallback),
		},
		read("decisions/0010-the-reverse-call.md"): {
			"`max_in_flight`* (" + thousands(order.DefaultMaxWaiting) + " unless given)", thousands(order.MaxLocks) + " locks", fmt.Sprintf("stored again for %d seconds", insistTimes*int(insistEvery.Seconds())),
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
