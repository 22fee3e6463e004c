package contract

// EventProduceRequest reports that an order was processed: transferred, audited,
// sent to the warehouse, shipped. Source: taobao.qimen.event.produce.
type EventProduceRequest struct {
	Status     string // QIMEN_ERP_TRANSFER, QIMEN_ERP_CHECK, QIMEN_CP_NOTIFY, QIMEN_CP_OUT or another topic
	Extension  string // JSON object
	OrderID    string // Taobao order number; any text
	Platform   string // JD, DD, …; empty or MAIN: Taobao
	Created    string // the order's day as digits, 20170808
	Nick       string // the seller's name outside Taobao; with Platform it names the order's seller
	ERPOrderID string // the ERP's own number of this order
	SubOrders  string // sub order numbers, comma-separated; empty: the whole order
	OccurredAt string // yyyy-MM-dd HH:mm:ss, GMT+8
}

// EventProduceReply is the answer to an accepted event.
type EventProduceReply struct {
	Success bool
}

// The statuses that the pages name, in the order in which an order meets them.
const (
	StatusTransfer = "QIMEN_ERP_TRANSFER" // 已转单
	StatusCheck    = "QIMEN_ERP_CHECK"    // 已客审
	StatusNotify   = "QIMEN_CP_NOTIFY"    // 已通知配货
	StatusOut      = "QIMEN_CP_OUT"       // 已出库
)

// EventTimeSample is the page's own example for event_time. Clients send it
// verbatim; it counts as not given.
const EventTimeSample = "yyyy-mm-dd HH:mm:ss"

// Platforms are the codes that the page lists for platform, with their names.
var Platforms = []Param{
	{"MAIN", "官方渠道"}, {"JD", "京东"}, {"DD", "当当"}, {"PP", "拍拍"}, {"YX", "易讯"}, {"EBAY", "ebay"},
	{"AMAZON", "亚马逊"}, {"SN", "苏宁"}, {"GM", "国美"}, {"WPH", "唯品会"}, {"JM", "聚美"}, {"MGJ", "蘑菇街"},
	{"YT", "银泰"}, {"YHD", "1号店"}, {"1688", "1688"}, {"POS", "POS门店"}, {"OTHER", "其他"},
}

// The refusals of taobao.qimen.event.produce, in the page's order and spelling.
var (
	UnmatchedField  = &Refusal{Code: "isv.invalid-message-field: unmatch-topic-meta-info", Text: "消息content中的字段与系统定义的字段不一致", Solution: "参考消息的定义修改参数", Advice: Fix}
	TopicNotAllowed = &Refusal{Code: "isv.topic-limitation: pub", Text: "应用没有发送消息的权限", Solution: "在页面中订阅相应的消息", Advice: Fix}
	BrokenJSON      = &Refusal{Code: "isv.ivalid-message-content: error-json-format", Text: "消息体content的json格式错误", Solution: "修改content为正确的json串", Advice: Fix} // the page writes "ivalid"
	TopicEmpty      = &Refusal{Code: "isv.invalid-param: topic-empty", Text: "topic不能为空", Solution: "输入正确的topic", Advice: Fix}
	AlreadyBackflow = &Refusal{Code: "isv.invalid-param: status has already backflow", Text: "状态已经回流", Solution: "回流状态之前,先判断是否已经回流过", Advice: Done}
)

// EventProduce is taobao.qimen.event.produce. The limits are Ordergate's own:
// the page's 更多限制 column is empty.
var EventProduce = Define[EventProduceRequest, EventProduceReply](API{
	Method:     "taobao.qimen.event.produce",
	Title:      "发出奇门事件",
	About:      "当订单被处理时,用于通知奇门系统。",
	Protocol:   TOP,
	Session:    Required,
	Repeatable: true,
	Request: []Field{
		{Name: "status", Go: "Status", Type: String, Required: true, Example: `QIMEN_ERP_TRANSFER`, Text: "事件状态,如QIMEN_ERP_TRANSFER,QIMEN_ERP_CHECK"},
		{Name: "ext", Go: "Extension", Type: String, Object: true, Example: `{"rdsName","123wdx1"}`, Text: "JSON格式扩展字段"},
		{Name: "tid", Go: "OrderID", Type: String, Required: true, OrderID: true, MaxChars: 256, Example: `12231221231232`, Text: "淘宝订单号"},
		{Name: "platform", Go: "Platform", Type: String, MaxChars: 256, Example: `JD`, Text: "商家平台编码.MAIN:官方渠道,JD:京东,DD:当当,PP:拍拍,YX:易讯,EBAY:ebay,AMAZON:亚马逊,SN:苏宁,GM:国美,WPH:唯品会,JM:聚美,MGJ:蘑菇街,YT:银泰,YHD:1号店,1688:1688,POS:POS门店,OTHER:其他"},
		{Name: "create", Go: "Created", Type: Number, Example: `20170808`, Text: "订单创建时间,数字"},
		{Name: "nick", Go: "Nick", Type: String, MaxChars: 256, Example: `seller_001`, Text: "外部商家名称。必须同时填写platform"},
		{Name: "erp_order_id", Go: "ERPOrderID", Type: String, Asked: true, MaxChars: 256, Example: `erp_order_id`, Text: "主单号对应的erp单号,转单、审单、通知配货、出库 需要填。拆单、合单场景下不用填"},
		{Name: "taobao_sub_order_ids", Go: "SubOrders", Type: String, Asked: true, MaxItems: 1000, Example: `taobao_sub_order_ids`, Text: "淘宝子订单id(拆单、合单场景下不用填,其他场景需要回传,用英文逗号隔开)"},
		{Name: "event_time", Go: "OccurredAt", Type: String, Example: EventTimeSample, Text: "触发事件的时间"},
	},
	Reply: []Field{
		{Name: "is_success", Go: "Success", Type: Boolean, Verdict: true, Example: `true`, Text: "是否成功"},
	},
	Refusals: []*Refusal{UnmatchedField, TopicNotAllowed, BrokenJSON, TopicEmpty, AlreadyBackflow, InvalidParameter},
})
