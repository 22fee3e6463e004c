package contract

import "strings"

// SuningParams are the protocol's own parameters (公共参数). They travel as HTTP
// headers, in any case of letters, and are not part of the message.
var SuningParams = []Field{
	{Name: "appMethod", Type: String, Required: true, Example: `suning.custom.category.query`, Text: "方法名"},
	{Name: "appRequestTime", Type: String, Required: true, Example: `2012-04-25 20:23:30`, Text: "时间戳,格式为yyyy-MM-dd HH:mm:ss,例如:2012-04-25 20:23:30。API服务端允许客户端请求时间误差为10分钟。"},
	{Name: "format", Type: String, Example: `XML`, Text: "默认xml,可指定格式为xml,json"},
	{Name: "appKey", Type: String, Required: true, Example: `b0c332a133c102765f39de**********`, Text: "分配给应用的访问令牌"},
	{Name: "versionNo", Type: String, Required: true, Example: `v1.2`, Text: "API的版本,目前为v1.2版本"},
	{Name: "signInfo", Type: String, Required: true, Example: `460d7ff15b073e463125b4**********`, Text: "appSecret,appMethod ,appRequestTime, appKey, versionNo, 请求报文base64加密后的数据顺序MD5(32位小写),其中appSecret为appKey对应的密钥"},
	{Name: "access_token", Type: String, Secret: true, Example: `a1c5c62b08df3a3cbf7efd**********`, Text: "采用OAuth授权方式为必填参数"},
}

// Rows of Suning that stand out.
var (
	SuningUnavailable = &Refusal{Code: "isp.sys.service.unavailable.somp", Text: "服务不可用", Solution: "请联系苏宁技术人员", When: "the call could not be stored, or too many are waiting", Faults: []Fault{Busy, Unavailable}, Advice: Retry, Unknown: true}
	SupplierNotOwned  = &Refusal{Code: "sys.auth.vendor-request:errory", Text: "无权操作此供应商", Solution: "请确认供应商编码是否正确", When: "supplierCode does not own the line, or the line's supplier is not the app's", Advice: Fix} // sic
	NetworkFailure    = &Refusal{Code: "sys.error.network:failure", Text: "网络异常", Solution: "无", Advice: Retry, Unknown: true, Reserved: "a client says it when no answer comes"}
	NetworkStatus     = &Refusal{Code: "sys.error.network-status:?", Text: "响应失败 ?为状态码", Solution: "无", Advice: Retry, Unknown: true, Reserved: "a client says it of an HTTP status that is not 200"}
)

// Why rows of the common table are not produced.
const (
	ofQueries = "query APIs only"
	ofPages   = "APIs with pages only"
	ofTimes   = "APIs with a start and an end time only"
)

// SuningFaults are the rows of 异常码 (公共), in the page's order. Some codes stand
// there twice with different texts: a row is known by both.
var SuningFaults = []*Refusal{
	{Code: "sys.check.user-permission:inexistence", Text: "访问令牌不存在", Solution: "更换访问令牌", When: "the app needs an access_token, and it is absent, blank, unknown or another app's", Faults: []Fault{MissingSession, UnknownSession}, Advice: Fix},
	{Code: "sys.check.user-permission:overdue", Text: "访问令牌已过期", Solution: "请使用刷新令牌刷新", When: "the app or its access_token has expired", Faults: []Fault{ExpiredApp, ExpiredSession}, Advice: Fix},
	{Code: "sys.check.api-permission:inexistence", Text: "Api方法不存在", Solution: "请参考帮助中心", When: "no API of that name", Faults: []Fault{UnknownMethod}, Advice: Fix},
	{Code: "sys.check.api-permission:overdue", Text: "Api方法已过期", Solution: "请参考帮助中心", Faults: []Fault{RetiredMethod}, Advice: Fix, Reserved: "no API here is retired"},
	{Code: "sys.check.method-permission:authority", Text: "无权操作此api", Solution: "确认是否有访问该方法权限", When: "the app may not call this API", Faults: []Fault{NoPackage, NotInPackage}, Advice: Fix},
	SupplierNotOwned,
	{Code: "sys.controller.api-request:limit", Text: "Api请求受控", Solution: "超过请求次数", When: "the app's calls of the day are used up", Faults: []Fault{Throttled}, Advice: Retry},
	{Code: "sys.check.app-time:error", Text: "请求参数错误api请求时间误差大", Solution: "参考帮助中心", When: "appRequestTime is no time, or more than 10 minutes off (zone GMT+8)", Faults: []Fault{BadTimestamp}, Advice: Fix},
	{Code: "sys.check.request-params:error", Text: "请求报文结构错误", Solution: "参考帮助中心、日期格式等", When: "the body is over 1 MiB, broken off, not in the declared format or not of the method's structure; a parameter breaks its limits; format is neither xml nor json", Faults: []Fault{BadRequest, BadFormat, BadArgument}, Advice: Fix},
	{Code: "sys.check.starttime-format:error", Text: "请求开始时间错误", Solution: "参考帮助中心、日期格式等", Advice: Fix, Reserved: ofTimes},
	{Code: "biz.handler.data-get:success", Text: "业务数据查询成功", Solution: "无", Advice: Done, Reserved: ofQueries},
	{Code: "biz.handler.data-get:fail", Text: "业务数据查询失败", Solution: "检查请求条件", Advice: Fix, Reserved: ofQueries},
	{Code: "biz.handler.data-get:no-result", Text: "业务数据结果为空", Solution: "无", Advice: Stop, Reserved: ofQueries},
	{Code: "sys.check.pageno-format:error", Text: "pageNo格式错误,只允许1到99999之间的整数", Solution: "检查pageNo输入是否有误", Advice: Fix, Reserved: ofPages},
	{Code: "sys.check.pagesize-format:error", Text: "pageSize格式错误,只允许1到50之间的整数(订单相关是1到100)", Solution: "检查pageSize输入是否有误", Advice: Fix, Reserved: ofPages},
	{Code: "sys.check.page-param:error", Text: "pageNo或者pageSize不在要求范围内,pageNo只允许1到99999之间的整数,pageSize只允许1到50之间的整数(订单相关是1到100)", Solution: "检查pageNo和pageSize输入是否有误", Advice: Fix, Reserved: ofPages},
	{Code: "sys.check.miss-time:starttime", Text: "不存在开始时间(节点)", Solution: "检查输入", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.miss-time:endtime", Text: "不存在结束时间(节点)", Solution: "检查输入", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.starttime-value:null", Text: "开始时间为空(值)", Solution: "检查输入", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.endtime-value:null", Text: "结束时间为空(值)", Solution: "检查输入", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.starttime-format:error", Text: "校验开始时间不合法,格式yyyy-MM-dd HH:mm:ss", Solution: "检查时间格式", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.endtime-format:error", Text: "校验结束时间不合法,格式yyyy-MM-dd HH:mm:ss", Solution: "检查时间格式", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.query-time:error", Text: "开始时间是否小于结束时间", Solution: "检查开始和结束时间大小", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.query-time:outofrange", Text: "时间查询是否超出指定范围", Solution: "检查时间范围", Advice: Fix, Reserved: ofTimes},
	{Code: "sys.check.app-sign:null", Text: "签名信息为空", Solution: "检查签名信息", When: "signInfo absent or blank", Faults: []Fault{MissingSign}, Advice: Fix},
	{Code: "sys.check.app-sign:error", Text: "签名信息错误", Solution: "检查签名信息", When: "the signature differs", Faults: []Fault{BadSign}, Advice: Fix},
	{Code: "sys.check.missing-parameter:apiversion", Text: "API版本号未指定", Solution: "检查API版本号", When: "versionNo absent or blank", Faults: []Fault{MissingVersion}, Advice: Fix},
	{Code: "sys.check.missing-parameter:appRequestTime", Text: "请求时间丢失", Solution: "检查请求时间", When: "appRequestTime absent or blank", Faults: []Fault{MissingTimestamp}, Advice: Fix},
	{Code: "sys.check.missing-nestElement:sn_body", Text: "缺少sn_body节点", Solution: "检查sn_body是否存在", When: "sn_request holds no sn_body", Faults: []Fault{MissingBody}, Advice: Fix},
	{Code: "sys.check.user-permission:inexistence", Text: "用户key不存在", Solution: "检查用户key是否存在", When: "appKey unknown", Faults: []Fault{UnknownApp}, Advice: Fix},
	{Code: "biz.handler.batch-handler:no-support", Text: "非查询类API不支持批量操作", Solution: "检查API类型", When: "sn_body holds several nodes", Faults: []Fault{SeveralNodes}, Advice: Fix},
	{Code: "biz.handler.request-message:error", Text: "查询类API输入多个业务节点", Solution: "检查业务节点", Advice: Fix, Reserved: ofQueries},
	{Code: "sys.check.header-param:null", Text: "header参数为空", Solution: "请检查header参数", When: "appKey or appMethod absent or blank", Faults: []Fault{MissingAppKey, MissingMethod}, Advice: Fix},
	{Code: "sys.controller.api-access:limit", Text: "访问限制", Solution: "无", When: "the caller's address is not on the app's list", Faults: []Fault{IPNotAllowed}, Advice: Fix},
	{Code: "sys.controller.api-frequency:limit", Text: "访问频率限制", Solution: "无", When: "the app's calls of the second are used up", Faults: []Fault{TooFrequent}, Advice: Retry},
	NetworkFailure,
	NetworkStatus,
	{Code: "sys.check.snunionid.length.is.not:48", Text: "混淆会员编码长度不是48位", Solution: "使用转换器转换混淆会员编码规定要求混淆会员编码48位", Advice: Fix, Reserved: "member APIs only"},
}

// SuningRow is how Suning words a fault of a call of an API, which may be nil. A
// fault that it has no words for is a failure of its own.
func SuningRow(a *API, f Fault) *Refusal {
	var own []*Refusal
	if a != nil {
		own = a.Refusals
	}
	for _, rows := range [][]*Refusal{own, SuningFaults} {
		for _, r := range rows {
			if r.Is(f) {
				return r
			}
		}
	}
	return SuningUnavailable
}

// isSystem reports whether a code is SuningUnavailable's, whose last word names the
// system that failed.
func isSystem(code string) bool {
	return strings.HasPrefix(code, strings.TrimSuffix(SuningUnavailable.Code, "somp"))
}

// FindSuning returns the row that an answer of Suning is an instance of, and nil
// when no table has it. A code that stands twice is told by its text. What real
// answers put behind a code, after a blank or a tab, does not count.
func FindSuning(a *API, code, text string) error {
	if row := a.refusalRow(code); row != nil {
		return row
	}
	var found *Refusal
	for _, r := range SuningFaults {
		if r.covers(code) && (found == nil || r.Text == text) {
			found = r
		}
	}
	bare, _, more := strings.Cut(strings.ReplaceAll(code, "\t", " "), " ")
	switch {
	case found != nil:
		return found
	case isSystem(code):
		return SuningUnavailable
	case more:
		return FindSuning(a, bare, text)
	}
	return nil
}
