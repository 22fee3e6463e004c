package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// The app of the load.
const (
	appKey    = "bench"
	appSecret = "bench-secret"
	session   = "bench-session"
	seller    = "bench"

	suningKey = "bench-suning" // with appSecret
)

// state declares it. Its virtual orders are an upstream's: they come with their
// first call.
const state = `{"apps":[{"key":"` + appKey + `","protocol":"top","secret":"` + appSecret + `"},{"key":"` + suningKey + `","protocol":"suning","authority":"upstream","secret":"` + appSecret + `"}],"sessions":[{"token":"` + session + `","app_key":"` + appKey + `","seller":"` + seller + `"}]}`

// statuses are what each order reports, in turn.
var statuses = []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}

// ordersPerBlock is how many orders report their first status before the first
// of them reports its second: events of one order are not neighbours.
const ordersPerBlock = 12_500

// event is the i-th event of a load: its order, by a number that grows with time
// as the platform's do, and its status.
func event(i int) (order int, status string) {
	block, place := i/(ordersPerBlock*len(statuses)), i%(ordersPerBlock*len(statuses))
	return block*ordersPerBlock + place%ordersPerBlock, statuses[place/ordersPerBlock]
}

// firstOrder is the number of order 0.
const firstOrder int64 = 2_895_732_000_000

func orderNumber(order int) string { return fmt.Sprint(firstOrder + int64(order)) }

// produced is what the i-th event says.
func produced(i int, at time.Time) *contract.EventProduceRequest {
	order, status := event(i)
	number := orderNumber(order)
	return &contract.EventProduceRequest{
		Status: status, OrderID: number, ERPOrderID: "SO-" + number, SubOrders: number + "1",
		OccurredAt: at.In(contract.Zone).Format(contract.TimeLayout),
	}
}

// emitted is the i-th event of a load of work orders.
func emitted(i int, at time.Time) *contract.EventEmitRequest {
	order, _ := event(i)
	number := orderNumber(order)
	return &contract.EventEmitRequest{
		EventID: fmt.Sprint("e", i), TenantCode: "tenant", WorkOrderID: "w" + number, WorkOrderStatus: fmt.Sprint(i % 5), OrderID: number,
		Timestamp: fmt.Sprint(at.UnixMilli()), Text: "工单描述", Context: `{"reason":"退款"}`,
	}
}

// shipped is a shipment of a virtual order of its own.
func shipped(i int) *contract.LeaguerStatusRequest {
	number := fmt.Sprint(firstOrder + int64(i))
	return &contract.LeaguerStatusRequest{
		Status: contract.StatusShipped, OrderID: number, LineID: "0" + number + "1", SupplierCode: seller,
		Cards: []contract.Card{{Code: contract.Secret(number), Password: "I001XB999"}},
	}
}

// intercepted asks for a lock of an order of its own. It is asynchronous: an order
// that nobody knows is acknowledged, too, and leaves the call and its verdict.
func intercepted(i int) *contract.OrderInterceptRequest {
	number := fmt.Sprint(firstOrder + int64(i))
	return &contract.OrderInterceptRequest{
		SellerNick: seller, BuyerNick: "buyer", CallType: contract.CallAsynchronous, Order: contract.InterceptedOrder{ID: number, SubOrders: number + "1"},
	}
}

// What answers hold that say yes.
var (
	produceYes   = []byte(`{"qimen_event_produce_response":{"is_success":true`)
	batchYes     = []byte(`{"qimen_events_produce_response":{"is_all_success":true`)
	emitYes      = []byte(`{"bcpush_isv_event_emit_response":{"result":{"success":true`)
	interceptYes = []byte(`{"qimen_taobao_qianniu_cloudkefu_order_self_intercept_response":{"result":{"success":true`)
	statusYes    = []byte(`{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{"result":"Y"`)
)

// produceRequests are n event.produce, the first of them being the i-th event.
func produceRequests(first, n int, at time.Time) work {
	return work{
		requests: build(n, func(i int) []byte { return request(contract.EventProduce, produced(first+i, at), at) }),
		accepts:  [][]byte{produceYes},
	}
}

// batchRequests are n events.produce of size events each, the first of all being
// the i-th event.
func batchRequests(first, n, size int, at time.Time) work {
	return work{
		requests: build(n, func(i int) []byte {
			events := make([]*contract.EventProduceRequest, size)
			for j := range events {
				events[j] = produced(first+i*size+j, at)
			}
			return request(contract.EventsProduce, &contract.EventsProduceRequest{Messages: contract.Messages(events...)}, at)
		}),
		accepts: [][]byte{batchYes},
	}
}

// build makes n requests on all processors.
func build(n int, one func(int) []byte) [][]byte {
	requests := make([][]byte, n)
	var all sync.WaitGroup
	for part := range runtime.NumCPU() {
		all.Go(func() {
			for i := part; i < n; i += runtime.NumCPU() {
				requests[i] = one(i)
			}
		})
	}
	all.Wait()
	return requests
}

// request signs a call and writes it as the vendor's Java SDK does: the
// protocol's parameters in the URL, the API's in the form.
func request(api *contract.API, fields any, at time.Time) []byte {
	own := api.Params(fields)
	protocol := []contract.Param{
		{Name: "app_key", Value: appKey}, {Name: "format", Value: "json"}, {Name: "method", Value: api.Method}, {Name: "partner_id", Value: "ordergate-bench"},
		{Name: "session", Value: session}, {Name: "sign_method", Value: string(wire.HMACSHA256)}, {Name: "timestamp", Value: at.In(contract.Zone).Format(contract.TimeLayout)},
		{Name: "v", Value: wire.TOPVersion},
	}
	signed := slices.Concat(protocol, own)
	slices.SortFunc(signed, func(a, b contract.Param) int { return strings.Compare(a.Name, b.Name) })
	sign := wire.Sign(wire.HMACSHA256, appSecret, wire.SignedText(signed, ""))
	var b bytes.Buffer
	b.Grow(1024)
	b.WriteString("POST " + wire.TOPPath + "?")
	form(&b, append(protocol, contract.Param{Name: "sign", Value: sign}))
	var body bytes.Buffer
	form(&body, own)
	fmt.Fprintf(&b, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded;charset=UTF-8\r\nContent-Length: %d\r\nAccept: text/xml,text/javascript\r\nUser-Agent: ordergate-bench\r\n\r\n", body.Len())
	b.Write(body.Bytes())
	return b.Bytes()
}

// suningRequest signs a call and writes it as the vendor's SDKs do.
func suningRequest(api *contract.API, fields any, at time.Time) []byte {
	message := wire.Message{
		URL: "http://bench" + wire.SuningPath, AppKey: suningKey, Secret: appSecret, API: api, Params: api.Params(fields),
		Format: wire.Format{JSON: true}, Time: at,
	}
	sealed, err := wire.Suning{}.Seal(context.Background(), message)
	var b bytes.Buffer
	if err == nil {
		err = sealed.Request.Write(&b)
	}
	if err != nil {
		panic(err) // the load is broken
	}
	return b.Bytes()
}

func form(b *bytes.Buffer, params []contract.Param) {
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.Name)
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.Value))
	}
}
