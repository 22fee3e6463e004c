package contract

// TOPParams are the protocol's own parameters (docs/protocol/top.md 3). Everything
// else in a request is the API's.
var TOPParams = []Field{
	{Name: "method", Type: String, Required: true, Example: "taobao.qimen.event.produce", Text: "API接口名称"},
	{Name: "app_key", Type: String, Required: true, Example: "12345678", Text: "TOP分配给应用的AppKey"},
	{Name: "session", Type: String, Secret: true, Example: "test", Text: "用户授权令牌 (access_token)"},
	{Name: "timestamp", Type: String, Required: true, Example: "2016-01-01 12:00:00", Text: "时间戳,GMT+8,允许误差10分钟;也可为13位毫秒"},
	{Name: "v", Type: String, Required: true, Example: "2.0", Text: "API协议版本"},
	{Name: "sign_method", Type: String, Example: "md5", Text: "签名算法: md5 (缺省), hmac, hmac-sha256"},
	{Name: "sign", Type: String, Required: true, Example: "66987CB115214E59E6EC978214934FB8", Text: "签名"},
	{Name: "format", Type: String, Example: "json", Text: "响应格式: xml (缺省), json"},
	{Name: "simplify", Type: Boolean, Example: "false", Text: "是否采用精简JSON返回格式,仅format=json时有效"},
	{Name: "partner_id", Type: String, Example: "top-sdk-java-20210623", Text: "SDK版本"},
	{Name: "target_app_key", Type: String, Example: "87654321", Text: "被调用的目标AppKey,仅第三方提供的API"},
}

var topParams = func() map[string]*Field {
	m := make(map[string]*Field, len(TOPParams))
	for i := range TOPParams {
		m[TOPParams[i].Name] = &TOPParams[i]
	}
	return m
}()

// IsTOPParam reports whether a parameter is the protocol's, not the API's.
func IsTOPParam(name string) bool { return topParams[name] != nil }
