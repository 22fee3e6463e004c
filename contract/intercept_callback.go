package contract

// InterceptCallbackRequest is the verdict of an asynchronous [OrderIntercept], sent
// to the platform. Source: taobao.gearfactory.intercept.order.callback,
// docs/protocol/qimen.md 5.
type InterceptCallbackRequest struct {
	OrderID   string // main order
	SubOrders string // sub orders, comma-separated; at most MaxCallback
	Success   bool   // whether they are locked
	ErrorCode string // of the codes 1001 to 1009, when they are not
}

// InterceptCallbackReply is the answer to a verdict.
type InterceptCallbackReply struct {
	Success bool
}

// MaxCallback is how many sub orders one call may speak of.
const MaxCallback = 20

// InterceptCallback is taobao.gearfactory.intercept.order.callback. Its page is not
// known: names and answer are those of the notes.
var InterceptCallback = Define[InterceptCallbackRequest, InterceptCallbackReply](API{
	Method:     "taobao.gearfactory.intercept.order.callback",
	Title:      "订单拦截结果回传",
	About:      "异步锁单的结果回传,一次最多20个子订单。",
	Protocol:   TOP,
	Session:    Required,
	Repeatable: true,
	Request: []Field{
		{Name: "tid", Go: "OrderID", Type: String, Required: true, OrderID: true, MaxChars: 256, Example: `30753531820144200`, Text: "主订单ID"},
		{Name: "sub_order_ids", Go: "SubOrders", Type: "String[]", Required: true, MaxItems: MaxCallback, Example: `30753531820144201,30753531820144202`, Text: "子订单列表,逗号分隔,最多20个"},
		{Name: "success", Go: "Success", Type: Boolean, Required: true, Example: `true`, Text: "拦截是否成功"},
		{Name: "error_code", Go: "ErrorCode", Type: String, MaxChars: 256, Example: `1001`, Text: "错误码,1001至1009"},
	},
	Reply: []Field{
		{Name: "is_success", Go: "Success", Type: Boolean, Verdict: true, Example: `true`, Text: "是否成功"},
	},
	Refusals: []*Refusal{InvalidParameter},
})
