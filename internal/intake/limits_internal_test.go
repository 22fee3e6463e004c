package intake

import (
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// However few calls a day has, processes that share them let no more through between two
// agreements, and not none.
func TestPartsOfADay(t *testing.T) {
	t.Parallel()
	for _, perDay := range []int{1, 2, 10, 100} {
		n := 0
		for i := range 3 {
			l := &Limits{ends: time.Now().Add(time.Hour), today: map[string]int64{}, since: map[string]int64{}, pending: map[order.Usage]int64{}, asked: map[string]int64{}}
			l.divide(order.Share{From: i, To: i + 1, Of: 3})
			for range 100 {
				if l.Count(&order.App{Key: "a", Rate: order.Rate{PerDay: perDay}}, time.Now()) == nil {
					n++
				}
			}
		}
		if n > perDay || n == 0 {
			t.Errorf("of %d calls a day %d were let through", perDay, n)
		}
	}
}
