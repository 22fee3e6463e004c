package contract

import "cmp"

// EventEmitRequest reports that a work order (工单) or a task plan changed. All
// fields are optional; one of EventID, WorkOrderID, PlanID and OrderID must be
// given. Source: taobao.bcpush.isv.event.emit.
type EventEmitRequest struct {
	Source          string // where the event comes from
	EventID         string // names the event: the same event sent again changes nothing
	Context         string // JSON text
	PlanID          string
	OrderID         string // the Taobao order that it is about
	WorkOrderType   string
	WorkOrderStatus string
	WorkOrderID     string
	Timestamp       string // when it happened, in Unix milliseconds
	Text            string // what the work order says
	Result          string // what came of it
	BuyerID         string
	MiniappScene    string
	BuyerNick       string
	BusinessScene   string
	TenantCode      string // the supplier's tenant; work orders and events are named within it
	BuyerOpenID     string
}

// EventEmitReply is the answer to an event, of either kind: Result.Success says
// which.
type EventEmitReply struct {
	Result EventEmitResult
}

// EventEmitResult is the page's Result.
type EventEmitResult struct {
	OriginError  string
	Solution     string // what to do about a no
	Attachment   string
	Success      bool
	Module       bool
	ErrorMessage string
	Cause        string
	ErrorCode    string // digits; 0: none
	Version      string
	Exception    string
}

// Ways in which event.emit says no in a normal answer. The page documents no
// code; these are Ordergate's (docs/protocol/top.md 10).
var (
	EventNamesNothing = &Refusal{Code: "400", Text: "event_id, work_order_id, plan_id and biz_order_id are all absent", Solution: "give at least one of event_id, work_order_id, plan_id, biz_order_id", Advice: Fix, InReply: true}
	EventIDTaken      = &Refusal{Code: "409", Text: "event_id was sent before with different content", Solution: "send a changed event with a new event_id", Advice: Fix, InReply: true}
)

// EventEmitVersion is the version that answers name.
const EventEmitVersion = "1.0"

// EventEmit is taobao.bcpush.isv.event.emit. The limits are Ordergate's own: the
// page's 更多限制 column is empty.
var EventEmit = Define[EventEmitRequest, EventEmitReply](API{
	Method:   "taobao.bcpush.isv.event.emit",
	Title:    "isv提交标准事件",
	About:    "isv提交标准事件到工单任务系统",
	Protocol: TOP,
	Session:  Optional,
	Identity: "event_id",
	Request: []Field{
		{Name: "source_name", Go: "Source", Type: String, Example: `mockTenantCode`, Text: "来源"},
		{Name: "event_id", Go: "EventID", Type: String, MaxChars: 256, Example: `123456`, Text: "事件id"},
		{Name: "ctx_data", Go: "Context", Type: JSON, Example: `{}`, Text: "业务参数"},
		{Name: "plan_id", Go: "PlanID", Type: String, MaxChars: 256, Example: `123456`, Text: "计划id"},
		{Name: "biz_order_id", Go: "OrderID", Type: String, OrderID: true, MaxChars: 256, Example: `123456`, Text: "订单id"},
		{Name: "work_order_type", Go: "WorkOrderType", Type: String, MaxChars: 256, Example: `0`, Text: "工单类型"},
		{Name: "work_order_status", Go: "WorkOrderStatus", Type: String, MaxChars: 256, Example: `0`, Text: "工单状态"},
		{Name: "work_order_id", Go: "WorkOrderID", Type: String, MaxChars: 256, Example: `123456`, Text: "工单id"},
		{Name: "ts", Go: "Timestamp", Type: Number, MaxChars: 256, Example: `123456`, Text: "时间ms"},
		{Name: "text", Go: "Text", Type: String, Example: `工单描述`, Text: "描述文本"},
		{Name: "result_msg", Go: "Result", Type: String, Example: `已处理退款`, Text: "工单结果描述"},
		{Name: "buyer_id", Go: "BuyerID", Type: String, Example: `123456`, Text: "买家id"},
		{Name: "miniapp_scene_code", Go: "MiniappScene", Type: String, Example: `123`, Text: "小程序场景id"},
		{Name: "buyer_nick", Go: "BuyerNick", Type: String, Example: `用户名a`, Text: "用户名"},
		{Name: "biz_scene_code", Go: "BusinessScene", Type: String, Example: `123`, Text: "123"},
		{Name: "tenant_code", Go: "TenantCode", Type: String, MaxChars: 256, Example: `mockTenantCode`, Text: "供应商租户code"},
		{Name: "buyer_open_id", Go: "BuyerOpenID", Type: String, Example: `asdiofasdfa2wergwq`, Text: "加密的买家id"},
	},
	Reply: []Field{
		{Name: "result", Go: "Result", Type: "Result", Text: "接口返回model", Fields: []Field{
			{Name: "origin_error_msg", Go: "OriginError", Type: String, Example: `demo`, Text: "错误信息"},
			{Name: "solution", Go: "Solution", Type: String, Example: `demo`, Text: "解决方案"},
			{Name: "attachment", Go: "Attachment", Type: String, Example: `demo`, Text: "系统自动生成"},
			{Name: "success", Go: "Success", Type: Boolean, Verdict: true, Example: `true`, Text: "是否成功"},
			{Name: "module", Go: "Module", Type: Boolean, Example: `true`, Text: "结果"},
			{Name: "error_message", Go: "ErrorMessage", Type: String, Example: `demo`, Text: "系统自动生成"},
			{Name: "cause", Go: "Cause", Type: String, Example: `demo`, Text: "原因"},
			{Name: "error_code", Go: "ErrorCode", Type: Number, Example: `0`, Text: "错误码"},
			{Name: "version", Go: "Version", Type: String, Example: `demo`, Text: "版本"},
			{Name: "exc_enum", Go: "Exception", Type: String, Example: `demo`, Text: "系统自动生成"},
		}},
	},
	Refusals: []*Refusal{InvalidParameter, EventNamesNothing, EventIDTaken},
})

func (r *EventEmitReply) decline(row *Refusal) {
	r.Result = EventEmitResult{ErrorCode: row.Code, ErrorMessage: row.Text, Solution: row.Solution}
}

// refusal reads a no.
func (r *EventEmitReply) refusal() *Refused {
	return &Refused{Code: r.Result.ErrorCode, Text: cmp.Or(r.Result.ErrorMessage, noSuccess), SubText: r.Result.Solution, Row: EventEmit.replyRow(r.Result.ErrorCode)}
}
