package contract

import "strings"

// Fault is a condition in which a gateway refuses a call whatever its API. The
// set is closed; each protocol words those that it knows: TOP in [TOPFaults], Suning
// in [SuningFaults] and in its APIs' refusals.
type Fault int

// The faults. Who produces which, and in what order, say the tables of checks.
const (
	_ Fault = iota
	BadEncoding
	MissingMethod
	MissingAppKey
	MissingTimestamp
	MissingVersion
	MissingSign
	UnknownMethod
	BadVerb
	UnknownApp
	ExpiredApp
	IPNotAllowed
	NoPackage
	NotInPackage
	BadVersion
	BadFormat
	BadTimestamp
	BadSign
	Throttled
	TooFrequent
	MissingSession
	BlankSession
	UnknownSession
	ExpiredSession
	MissingArgument
	BadArgument
	BadRequest
	MissingBody
	SeveralNodes
	Busy
	Unavailable
	BusinessRefused
	BackendFailed

	// Faults of the documented tables that Ordergate does not produce by itself.
	RetiredMethod
	UploadFailed
	UserThrottled
	SessionThrottled
	PartnerThrottled
	UserNotPermitted
	PartnerNotPermitted
	UnsupportedVersion
	SessionNotPermitted
	LowSecurityLevel
	faultCount
)

// FaultRow is how TOP words one fault. The zero row is one that TOP does not know.
type FaultRow struct {
	Code     string // a number for TOP
	Text     string // %s stands for the detail
	Chinese  string
	SubCode  string
	SubText  string // %s stands for the detail
	When     string
	Advice   Advice
	Reserved string // why nothing produces the row
}

// TOPFaults words the faults for the Taobao Open Platform. Codes, texts and sub
// codes are those of docs/protocol/top.md 8 and 9.
var TOPFaults = [faultCount]FaultRow{
	BadEncoding:      {Code: "47", Text: "Invalid encoding", Chinese: "编码错误", When: "a parameter is not UTF-8 or holds a broken %-escape", Advice: Fix},
	MissingMethod:    {Code: "21", Text: "Missing method", Chinese: "缺少方法名参数", SubText: "http传入的参数加入method字段", When: "method absent or blank", Advice: Fix},
	MissingAppKey:    {Code: "28", Text: "Missing app key", Chinese: "缺少AppKey参数", When: "app_key absent or blank", Advice: Fix},
	MissingTimestamp: {Code: "30", Text: "Missing timestamp", Chinese: "缺少时间戳参数", When: "timestamp absent or blank", Advice: Fix},
	MissingVersion:   {Code: "32", Text: "Missing version", Chinese: "缺少版本参数", When: "v absent or blank", Advice: Fix},
	MissingSign:      {Code: "24", Text: "Missing signature", Chinese: "缺少签名参数", When: "sign absent or blank", Advice: Fix},
	UnknownMethod:    {Code: "22", Text: "Invalid method", Chinese: "不存在的方法名", When: "no API of that name", Advice: Fix},
	BadVerb:          {Code: "9", Text: "Http action not allowed", Chinese: "HTTP方法被禁止", When: "neither GET nor POST, or a file upload not sent by POST", Advice: Fix},
	UnknownApp:       {Code: "29", Text: "Invalid app Key", Chinese: "无效的AppKey参数", SubCode: "isv.appkey-not-exists", When: "app unknown or no longer active", Advice: Fix},
	IPNotAllowed:     {Code: "11", Text: "Insufficient isv permissions", Chinese: "开发者权限不足", SubCode: "isv.permission-ip-whitelist-limit", When: "caller's address not on the app's list", Advice: Fix},
	NoPackage:        {Code: "11", Text: "Insufficient isv permissions", Chinese: "开发者权限不足", SubCode: "isv.permission-api-package-empty", When: "the app may call nothing", Advice: Fix},
	NotInPackage:     {Code: "11", Text: "Insufficient isv permissions", Chinese: "开发者权限不足", SubCode: "isv.permission-api-package-limit", When: "the app may not call this API", Advice: Fix},
	BadVersion:       {Code: "33", Text: "Invalid version", Chinese: "非法的版本参数", When: "v is not 2.0", Advice: Fix},
	BadFormat:        {Code: "23", Text: "Invalid format", Chinese: "无效数据格式", When: "format is neither xml nor json", Advice: Fix},
	BadTimestamp:     {Code: "31", Text: "Invalid timestamp", Chinese: "非法的时间戳参数", When: "no time, or more than 10 minutes off (zone GMT+8)", Advice: Fix},
	BadSign:          {Code: "25", Text: "Invalid signature", Chinese: "无效签名", When: "signature differs, or sign_method unknown", Advice: Fix},
	Throttled:        {Code: "7", Text: "App Call Limited", Chinese: "应用调用次数超限", SubCode: "accesscontrol.limited-by-app-access-count", SubText: "This ban will last for %s more seconds", When: "the app's rate is used up", Advice: Retry},
	MissingSession:   {Code: "26", Text: "Missing session", Chinese: "缺少SessionKey参数", When: "session absent where the API requires one", Advice: Fix},
	BlankSession:     {Code: "27", Text: "Invalid session", Chinese: "无效的SessionKey参数", SubCode: "session-is-blank", SubText: "session-is-blank", When: "session present but blank", Advice: Fix},
	UnknownSession:   {Code: "27", Text: "Invalid session", Chinese: "无效的SessionKey参数", SubCode: "invalid-sessionkey", SubText: "SessionKey非法", When: "session unknown, or another app's", Advice: Fix},
	ExpiredSession:   {Code: "27", Text: "Invalid session", Chinese: "无效的SessionKey参数", SubCode: "session-expired", SubText: "session-expired", When: "session expired", Advice: Fix},
	MissingArgument:  {Code: "40", Text: "Missing required arguments:%s", Chinese: "缺少必选参数", When: "a required parameter absent or blank", Advice: Fix},
	BadArgument:      {Code: "41", Text: "Invalid arguments:%s", Chinese: "非法的参数", When: "a parameter breaks its limits", Advice: Fix},
	BadRequest:       {Code: "43", Text: "Parameter error", Chinese: "参数错误", When: "body over 1 MiB, over 1,000 parameters, broken off, or a batch of none or over 50 calls", Advice: Fix},
	Busy:             {Code: "10", Text: "Service currently unavailable", Chinese: "服务不可用", SubCode: "isp.system-busy", When: "too many calls are waiting to be stored", Advice: Retry},
	Unavailable:      {Code: "10", Text: "Service currently unavailable", Chinese: "服务不可用", SubCode: "isp.remote-service-error", When: "the call could not be stored", Advice: Retry},
	BusinessRefused:  {Code: "50", Text: "Remote service error", Chinese: "远程服务出错", When: "the API refuses in its own words", Advice: Fix},
	BackendFailed:    {Code: "15", Text: "Remote service error", Chinese: "远程服务出错", When: "the merchant who was asked gave no verdict; the sub_code says why", Advice: Stop},

	UploadFailed:        {Code: "3", Text: "Upload fail", Chinese: "图片上传失败", Advice: Fix, Reserved: "no API here takes files"},
	UserThrottled:       {Code: "4", Text: "User Call limited", Chinese: "用户调用次数超限", Advice: Retry, Reserved: "limits are per app"},
	SessionThrottled:    {Code: "5", Text: "Session Call limited", Chinese: "会话调用次数超限", Advice: Retry, Reserved: "limits are per app"},
	PartnerThrottled:    {Code: "6", Text: "Partner Call limited", Chinese: "合作伙伴调用次数超限", Advice: Retry, Reserved: "limits are per app"},
	TooFrequent:         {Code: "8", Text: "App call exceeds limited frequency", Chinese: "应用调用频率超限", Advice: Retry, Reserved: "flow control answers 7"},
	UserNotPermitted:    {Code: "12", Text: "Insufficient user permissions", Chinese: "用户权限不足", Advice: Fix, Reserved: "value-added APIs only"},
	PartnerNotPermitted: {Code: "13", Text: "Insufficient partner permissions", Chinese: "合作伙伴权限不足", Advice: Fix, Reserved: "value-added APIs only"},
	UnsupportedVersion:  {Code: "34", Text: "Unsupported version", Chinese: "不支持的版本号", Advice: Fix, Reserved: "every other version is 33"},
	SessionNotPermitted: {Code: "42", Text: "Insufficient session permissions", Chinese: "短授权权限不足", Advice: Fix, Reserved: "sensitive APIs only"},
	LowSecurityLevel:    {Code: "53", Text: "Insufficient security level", Chinese: "安全等级不足", Advice: Fix, Reserved: "sensitive APIs only"},
}

// faultNames name the faults whatever the protocol, for logs.
var faultNames = [faultCount]string{
	BadEncoding:         "bad encoding",
	MissingMethod:       "method missing",
	MissingAppKey:       "app key missing",
	MissingTimestamp:    "time missing",
	MissingVersion:      "version missing",
	MissingSign:         "signature missing",
	UnknownMethod:       "method unknown",
	BadVerb:             "verb not allowed",
	UnknownApp:          "app unknown",
	ExpiredApp:          "app expired",
	IPNotAllowed:        "address not allowed",
	NoPackage:           "app may call nothing",
	NotInPackage:        "app may not call this API",
	BadVersion:          "bad version",
	BadFormat:           "bad format",
	BadTimestamp:        "time unreadable or off",
	BadSign:             "signature differs",
	Throttled:           "rate used up",
	TooFrequent:         "calls too frequent",
	MissingSession:      "session missing",
	BlankSession:        "session blank",
	UnknownSession:      "session unknown",
	ExpiredSession:      "session expired",
	MissingArgument:     "argument missing",
	BadArgument:         "bad argument",
	BadRequest:          "request unreadable",
	MissingBody:         "body node missing",
	SeveralNodes:        "several business nodes",
	Busy:                "busy",
	Unavailable:         "not stored",
	BusinessRefused:     "refused by the API",
	RetiredMethod:       "method retired",
	UploadFailed:        "upload failed",
	UserThrottled:       "user throttled",
	SessionThrottled:    "session throttled",
	PartnerThrottled:    "partner throttled",
	UserNotPermitted:    "user not permitted",
	PartnerNotPermitted: "partner not permitted",
	BackendFailed:       "backend failed",
	UnsupportedVersion:  "version unsupported",
	SessionNotPermitted: "session not permitted",
	LowSecurityLevel:    "security level too low",
}

// Error returns the fault's name.
func (f Fault) Error() string {
	if f <= 0 || f >= faultCount {
		return "unknown fault"
	}
	return faultNames[f]
}

// Fill puts the detail into a row's text.
func Fill(text, detail string) string { return strings.Replace(text, "%s", detail, 1) }
