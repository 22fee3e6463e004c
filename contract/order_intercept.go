package contract

import "cmp"

// OrderInterceptRequest asks a merchant not to ship sub orders that a buyer chose.
// The platform calls it. Source:
// qimen.taobao.qianniu.cloudkefu.order.self.intercept.
type OrderInterceptRequest struct {
	SellerNick   string // the shop's main account
	BuyerNick    string
	Order        InterceptedOrder
	CallType     string // CallSynchronous or CallAsynchronous
	BuyerOpenUID string // stands in for BuyerNick where it is given
}

// InterceptedOrder is the page's BizOrder.
type InterceptedOrder struct {
	ID        string // main order
	SubOrders string // sub orders, comma-separated
}

// The values of CallType.
const (
	CallSynchronous  = "synchronous"  // the answer is the verdict
	CallAsynchronous = "asynchronous" // the answer acknowledges; the verdict follows by [InterceptCallback]
)

// OrderInterceptReply is the merchant's answer, of either kind: Result.Success says
// which.
type OrderInterceptReply struct {
	Result InterceptResult
}

// InterceptResult is the page's ResultDO. ErrorCode is an open vocabulary: any text
// of a merchant's.
type InterceptResult struct {
	ErrorText string
	ErrorCode string
	Success   bool
}

// What a merchant may say no with. The order is the page's, as far as it lists them;
// the texts are those of docs/protocol/qimen.md 6.
var (
	AddressForbidden = interceptRow("modify-address-forbid", "业务上返回的修改地址失败错误码", Refusal{Solution: "这个是正常的返回", Reserved: merchantsOwn})
	InterceptShipped = interceptRow("1001", "已发货拦截失败", Refusal{When: "a sub order that is not locked yet has been shipped"})
	InterceptOut     = interceptRow("1002", "已出库拦截失败", Refusal{When: "a sub order that is not locked yet has left the warehouse (QIMEN_CP_OUT)"})
	InterceptPicked  = interceptRow("1003", "已配货拦截失败", Refusal{When: "the warehouse was notified of a sub order that is not locked yet (QIMEN_CP_NOTIFY), and the merchant's app says lock_until: notify"})
	InterceptUnknown = interceptRow("1007", "未获取订单拦截失败", Refusal{When: "no such order, or no such sub order of it"})
	InterceptFailed  = interceptRow("1008", "未定义异常失败", Refusal{When: "the order is another seller's or another buyer's"})
	InterceptBroken  = interceptRow("1009", "奇门接口调用异常", Refusal{When: "in the callback of an asynchronous call: the merchant gave no verdict"})
	SignCheckFailure = interceptRow("sign-check-failure", "Illegal request", Refusal{When: "at /spi/qimen: the caller's app is unknown, its signature differs, or its time is too old", Advice: Fix})
)

// merchantsOwn is why no rule makes a row.
const merchantsOwn = "a merchant's own word: what a destination answers is passed on"

func interceptRow(code, text string, r Refusal) *Refusal {
	r.Code, r.Text, r.InReply = code, text, true
	r.Advice = cmp.Or(r.Advice, Stop)
	return &r
}

// foreign is a row of which only the code is known.
func foreign(code string) *Refusal { return interceptRow(code, "", Refusal{Reserved: merchantsOwn}) }

// MaxSubOrders is how many sub orders a call may name, commas counted.
const MaxSubOrders = 1000

// OrderIntercept is qimen.taobao.qianniu.cloudkefu.order.self.intercept. The limits
// are Ordergate's own.
var OrderIntercept = Define[OrderInterceptRequest, OrderInterceptReply](API{
	Method:   "qimen.taobao.qianniu.cloudkefu.order.self.intercept",
	Title:    "自助锁单",
	About:    "在自动化任务核对地址卡片中,透出自助锁单入口,让用户自己选择锁定的子订单,然后同步到商家后台ERP系统这些子订单锁定不发货",
	Protocol: TOP,
	Session:  None,
	Reverse:  true,
	Request: []Field{
		{Name: "sellerNick", Go: "SellerNick", Type: String, Required: true, Seller: true, MaxChars: 256, Example: `苏宁易购官方旗舰店`, Text: "店铺主账号"},
		{Name: "buyerNick", Go: "BuyerNick", Type: String, Required: true, MaxChars: 256, Example: `翔_ouyang`, Text: "买家账号名"},
		{Name: "bizOrder", Go: "Order", Type: "BizOrder", Required: true, MaxChars: 65_536, Text: "订单信息", Fields: []Field{
			{Name: "tid", Go: "ID", Type: String, Required: true, OrderID: true, MaxChars: 256, Example: `30753531820144197`, Text: "主订单ID"},
			{Name: "subOrderIds", Go: "SubOrders", Type: String, Required: true, MaxItems: MaxSubOrders, Example: `30753531820144191,30753531820144192,30753531820144193`, Text: "子订单列表,逗号分隔"},
		}},
		{Name: "callType", Go: "CallType", Type: String, Required: true, Example: `synchronous`, Text: "表示同步还是异步返回synchronous/asynchronous"},
		{Name: "buyer_open_uid", Go: "BuyerOpenUID", Type: String, MaxChars: 256, Example: `1`, Text: "代替买家nick作为唯一标识"},
	},
	Reply: []Field{
		{Name: "result", Go: "Result", Type: "ResultDO", Text: "修改地址返回结果", Fields: []Field{ // sic: of the address API
			{Name: "errorMsg", Go: "ErrorText", Type: String, Example: `已发货拦截失败`, Text: "错误信息"},
			{Name: "errorCode", Go: "ErrorCode", Type: String, Example: `1001`, Text: "错误码"},
			{Name: "success", Go: "Success", Type: Boolean, Verdict: true, Example: `false`, Text: "锁单是否成功"},
		}},
	},
	Refusals: []*Refusal{
		AddressForbidden, ReadTimeout, foreign("10001"), InterceptShipped, StatusNotOK, foreign("1103"), foreign("400"), foreign("unknown"),
		foreign("modify-orderselfintercept-failed"), foreign("62CA9039AC1000609618FCA0794C7DB7"), InterceptFailed, foreign("1101"),
		// not on the page
		InterceptOut, InterceptPicked,
		interceptRow("1004", "已拣货拦截失败", Refusal{Reserved: merchantsOwn}), interceptRow("1005", "在途中拦截失败", Refusal{Reserved: merchantsOwn}), interceptRow("1006", "库存占用拦截失败", Refusal{Reserved: merchantsOwn}),
		InterceptUnknown, InterceptBroken, foreign("modify-address-failed"), SignCheckFailure, InvalidParameter,
	},
})

func (r *OrderInterceptReply) decline(row *Refusal) {
	r.Result = InterceptResult{ErrorCode: row.Code, ErrorText: row.Text}
}

func (r *OrderInterceptReply) refusal() *Refused {
	return &Refused{Code: r.Result.ErrorCode, Text: cmp.Or(r.Result.ErrorText, noSuccess), Row: OrderIntercept.replyRow(r.Result.ErrorCode)}
}
