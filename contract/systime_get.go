package contract

// SystimeGetRequest asks for the platform's clock. Source:
// suning.common.systime.get, docs/protocol/suning.md 2.4.
type SystimeGetRequest struct{}

// SystimeGetReply is the platform's clock.
type SystimeGetReply struct {
	Time string // yyyy-MM-dd HH:mm:ss, GMT+8
}

// SystimeGet is suning.common.systime.get. The name of the answer's field is
// Ordergate's reading: none of its pages is known.
var SystimeGet = Define[SystimeGetRequest, SystimeGetReply](API{
	Method:     "suning.common.systime.get",
	Title:      "获取系统时间",
	About:      "获取苏宁系统当前时间,供客户端校准请求时间。",
	Protocol:   Suning,
	Session:    Optional,
	Repeatable: true,
	AnyTime:    true,
	Reply: []Field{
		{Name: "sysTime", Go: "Time", Type: String, Example: `2012-04-25 20:23:30`, Text: "系统时间,格式为yyyy-MM-dd HH:mm:ss"},
	},
	Refusals: []*Refusal{SuningUnavailable},
})
