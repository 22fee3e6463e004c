package contract

// LeaguerStatusRequest reports what became of a line of a virtual order. Source:
// suning.selfmarket.leaguerstatus.add.
type LeaguerStatusRequest struct {
	Status       string // StatusShipped, StatusActivated, StatusGranted or StatusFailed
	OrderID      string // sales order number
	LineID       string // order line number, 14 digits with leading zeros; any text
	SupplierCode string
	FailReason   string // of StatusFailed
	Cards        []Card // of StatusShipped, for a line that sells cards: one for each sold
}

// Card is a card that was sold. Neither text is ever shown.
type Card struct {
	Code     Secret
	Password Secret
}

// LeaguerStatusReply is the answer to an accepted status.
type LeaguerStatusReply struct {
	Result  string // Y, or N: not applied
	OrderID string
	LineID  string
}

// The values of Status.
const (
	StatusShipped   = "180" // SMS sent: the line is shipped
	StatusActivated = "190" // card activated: the customer has received it
	StatusGranted   = "200" // gift granted: the customer has received it
	StatusFailed    = "210" // recharge failed: Suning starts a refund
)

// MaxCards is how many cards one call may hold.
const MaxCards = 1000

// The refusals of suning.selfmarket.leaguerstatus.add that a rule makes, or that
// stand out. Their order is the page's, their meaning that of docs/protocol/suning.md 5.3.
var (
	LineMissing      = leaguerStatus("missing-parameter:*", Refusal{Text: "参数必填", Solution: "请检查此参数的值,*号表示参数字段名", When: "iqStatus, orderId or orderItemId absent or blank", Faults: []Fault{MissingArgument}, Advice: Fix})
	StatusNotSynced  = leaguerStatus("invalid-biz:100", Refusal{Text: "状态同步失败", Solution: "请联系苏宁技术人员", When: "190 for a gift, 200 for another line, where the app's option confirmation says so; what fails inside is isp.sys.service.unavailable.somp", Advice: Retry})
	LineUnknown      = leaguerStatus("invalid-biz:101", Refusal{Text: "同步状态到OMS失败,查询无次订单", Solution: "请联系苏宁技术人员", When: "no such order, or no such line of it", Advice: Fix}) // 无次: sic
	LineNotVirtual   = leaguerStatus("invalid-biz:102", Refusal{Text: "订单类型非虚拟订单,请更换订单发货api接口进行发货操作", Solution: "请联系苏宁技术人员", When: "the line sells something physical", Advice: Fix})
	LineNotShipped   = leaguerStatus("invalid-biz:103", Refusal{Text: "虚拟订单确认收货需先进行订单发货(iqStatus=180)", Solution: "虚拟订单确认收货需先进行订单发货(iqStatus=180)", When: "190 for a line that waits for shipment", Advice: Fix})
	LineReturned     = leaguerStatus("invalid-biz:104", Refusal{Text: "订单已退货", Solution: "订单已退货", When: "180, 190 or 200 for a closed line", Advice: Stop})
	AlreadyShipped   = leaguerStatus("invalid-biz:105", Refusal{Text: "订单状态非未发货", Solution: "订单状态非未发货", When: "180 for a shipped line", Advice: Done})
	AlreadyReceived  = leaguerStatus("invalid-biz:106", Refusal{Text: "订单已收货", Solution: "订单已收货", When: "180, 190 or 200 for a received line", Advice: Done})
	RefundedByTime   = leaguerStatus("invalid-biz:107", Refusal{Text: "订单超100分钟未发货,系统进行自动退款处理", Solution: "订单超100分钟未发货,系统进行自动退款处理", When: "more than 100 minutes from payment without shipment", Advice: Stop})
	StatusNotLegal   = leaguerStatus("invalid-biz:108", Refusal{Text: "入参状态不合法,请重新调用", Solution: "入参状态不合法,请重新调用", When: "iqStatus is none of the four, or not meant for the line's kind", Advice: Fix})
	KindCannotFail   = leaguerStatus("invalid-biz:109", Refusal{Text: "该订单类型不支持充值失败状态", Solution: "该订单类型不支持充值失败状态", When: "210 for a kind of line that is not recharged", Advice: Stop})
	StateCannotFail  = leaguerStatus("invalid-biz:110", Refusal{Text: "订单状态不支持接收充值失败状态,请确认订单状态是否已发货/已退款", Solution: "订单状态不支持接收充值失败状态,请确认订单状态是否已发货/已退款", When: "210 for a shipped, received or closed line", Advice: Stop})
	RefundStarted    = leaguerStatus("invalid-biz:111", Refusal{Text: "该订单已发起退款流程", Solution: "该订单已发起退款流程", When: "a refund of the line is under way; to 210 it means done", Advice: Stop})
	RefundNotStarted = leaguerStatus("invalid-biz:112", Refusal{Text: "该订单发起退款流程失败", Solution: "该订单发起退款流程失败", Advice: Retry, Reserved: "a refund always starts here"})
	CardsMissing     = leaguerStatus("invalid-biz:113", Refusal{Text: "卡密订单需传入充值卡号及充值密码才可发货", Solution: "卡密订单需传入充值卡号及充值密码才可发货", When: "180 for a line that sells cards, without cards", Advice: Fix})
	CardsMiscounted  = leaguerStatus("invalid-biz:114", Refusal{Text: "卡密数量与销售数量不一致", Solution: "卡密数量与销售数量不一致", When: "the number of cards is not the quantity sold", Advice: Fix})
	CardsTooMany     = leaguerStatus("invalid-biz:115", Refusal{Text: "卡密数量大于1000", Solution: "卡密数量大于1000", When: "more than 1000 cards", Advice: Fix})
	CardsBlank       = leaguerStatus("invalid-biz:116", Refusal{Text: "卡号或卡密不可为空", Solution: "卡号或卡密不可为空", When: "a card without code or password", Advice: Fix})
)

func leaguerStatus(code string, r Refusal) *Refusal {
	r.Code = "biz.selfmarket.addleaguerstatus." + code
	return &r
}

// NotApplied is how a client reads result N, of which the page gives no reason.
var NotApplied = &Refusal{Code: "N", Text: "失败", Advice: Retry, InReply: true, Reserved: "every no has an error code here"}

// LeaguerStatus is suning.selfmarket.leaguerstatus.add. The limits are
// Ordergate's own.
var LeaguerStatus = Define[LeaguerStatusRequest, LeaguerStatusReply](API{
	Method:     "suning.selfmarket.leaguerstatus.add",
	Title:      "虚拟商品订单短信和激活状态同步",
	About:      "供苏宁系统与供应商系统直接对接,供应商将虚拟商品订单的发送短信的状态、激活的状态同步到苏宁系统。",
	Protocol:   Suning,
	Session:    Optional,
	Repeatable: true,
	Request: []Field{
		{Name: "iqStatus", Go: "Status", Type: String, Required: true, Example: `180`, Text: "状态标识;180-短信已发送(虚拟商品订单行已发货)190-卡密已激活(虚拟商品订单行顾客已确认收货)200-赠品发放成功(虚拟赠品订单行顾客已确认收货)210-(充值失败)"},
		{Name: "orderId", Go: "OrderID", Type: String, Required: true, OrderID: true, MaxChars: 256, Example: `1000531505`, Text: "销售订单号"},
		{Name: "orderItemId", Go: "LineID", Type: String, Required: true, MaxChars: 256, Example: `00000208117601`, Text: "订单行号"},
		{Name: "supplierCode", Go: "SupplierCode", Type: String, MaxChars: 256, Example: `10042869`, Text: "供应商编码"},
		{Name: "failReason", Go: "FailReason", Type: String, Example: `充值失败`, Text: "充值失败原因"},
		{Name: "cardList", Go: "Cards", Type: String, Item: "cardList", MaxItems: MaxCards, Fields: []Field{
			{Name: "cardCode", Go: "Code", Type: String, Secret: true, Example: `1234567899`, Text: "充值卡号"},
			{Name: "cardSec", Go: "Password", Type: String, Secret: true, Example: `I001XB999`, Text: "充值密码"},
		}},
	},
	Reply: []Field{
		{Name: "orderId", Go: "OrderID", Type: String, Example: `1000531505`, Text: "销售订单号"},
		{Name: "orderItemId", Go: "LineID", Type: String, Example: `00000208117601`, Text: "订单行号"},
		{Name: "result", Go: "Result", Type: String, Verdict: true, Example: `Y`, Text: "结果;Y-成功,N-失败"},
	},
	Refusals: []*Refusal{
		LineMissing, SuningUnavailable, StatusNotSynced, LineUnknown, LineNotVirtual, LineNotShipped, LineReturned, AlreadyShipped, AlreadyReceived,
		RefundedByTime, StatusNotLegal, KindCannotFail, StateCannotFail, RefundStarted, RefundNotStarted, CardsMissing, CardsMiscounted, CardsTooMany,
		CardsBlank, NotApplied,
	},
})

// done says which rows mean that the status is known already: that a refund is
// under way is what 210 asks, and no other status.
func (r *LeaguerStatusRequest) done(row *Refusal) bool {
	switch row {
	case AlreadyShipped:
		return r.Status == StatusShipped
	case AlreadyReceived:
		return r.Status != StatusFailed
	case RefundStarted:
		return r.Status == StatusFailed
	}
	return false
}

func (r *LeaguerStatusReply) refusal() *Refused {
	return &Refused{Code: r.Result, Text: NotApplied.Text, Row: NotApplied}
}

func (r *LeaguerStatusReply) decline(row *Refusal) { r.Result = row.Code }
