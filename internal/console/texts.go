package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// notices are what a page may be told that was done before it.
var notices = []string{"Saved.", "Deleted.", "Imported.", "Released.", "Tried again.", "Given up.", "The secret was replaced.", "The replay has begun."}

func isNotice(text string) bool { return slices.Contains(notices, text) }

// adviceTexts word what a caller should do about a refusal.
var adviceTexts = map[contract.Advice]string{
	contract.Fix:   "fix the call; sending it again unchanged cannot help",
	contract.Retry: "send it again after a pause",
	contract.Done:  "nothing: what was asked has happened before",
	contract.Stop:  "nothing: the call is right and the answer is final",
}

// stateTexts are the words of states, kinds and conditions in Chinese. In English they are
// the words themselves.
var stateTexts = map[string]string{
	"new": "新建", "transferred": "已转单", "checked": "已客审", "notified": "已通知配货", "out": "已出库", "shipped": "已发货",
	"waiting": "待发货", "received": "已收货", "refunding": "退款中", "timeout": "超时退款", "closed": "已关闭",
	"pending": "待投递", "in_flight": "投递中", "done": "已完成", "retrying": "重试中", "held": "暂停待处理", "dead": "死信",
	"asked": "询问中", "locked": "已锁定", "refused": "已拒绝", "unknown": "未知", "released": "已释放", "violated": "已违反",
	"up": "正常", "down": "故障", "disabled": "已停用", "asked for answers": "同步应答",
	"physical": "实物", "recharge": "充值", "card": "卡密", "gift": "礼品",
}

// state words a state.
func (l language) state(state any) string {
	text := fmt.Sprint(state)
	if l == chinese {
		if translated, ok := stateTexts[text]; ok {
			return translated
		}
	}
	return strings.ReplaceAll(text, "_", " ")
}

// texts are what the pages say, in English and in Chinese. A test compares the list with
// what they do say.
var texts = map[string]string{
	// The frame.
	"Skip to the content": "跳到内容", "Search": "搜索", "Log out": "退出", "Log in": "登录", "Menu": "菜单", "Admin token": "管理令牌",
	"The gateway printed at its start where it is kept.":                              "网关启动时打印了它的存放位置。",
	"That is not the admin token. The gateway printed at its start where it is kept.": "管理令牌不正确。网关启动时打印了它的存放位置。",
	"Too many attempts. Try again in %d seconds.":                                     "尝试过于频繁，请在 %d 秒后重试。",
	"Demo: its secrets are published":                                                 "演示模式：密钥是公开的",
	"Times are GMT+8":                                                                 "时间均为 GMT+8",
	"Rates and refused calls are this node's":                                         "速率与被拒调用仅为本节点",
	"Not found": "未找到", "There is nothing of that name. It may have been deleted, or pruned.": "没有这个名称的内容，可能已被删除或清理。",
	"That did not work": "操作未成功", "The database did not answer. Try again; the log of the gateway says why.": "数据库没有应答，请重试；原因见网关日志。",
	"The form cannot be read.": "表单无法读取。",

	// The menu.
	"Overview": "总览", "Orders": "订单", "Funnel": "漏斗", "Locks": "锁单", "Work orders": "工单", "Traffic": "流量", "Events": "事件",
	"Refused calls": "被拒调用", "Alerts": "告警", "Delivery": "投递", "Deliveries": "投递", "Destinations": "投递目标", "Settings": "设置", "Apps": "应用",
	"Tools": "工具", "APIs": "API", "Verify": "验签", "Faults": "故障注入",

	// Words.
	"none": "无", "None.": "无。", "None found.": "没有找到。", "all": "全部", "All": "全部", "yes": "是", "or": "或", "Further": "继续", "Older": "更早", "Filter": "筛选",
	"Save": "保存", "Delete": "删除", "Replace": "替换", "Copy": "复制", "Name": "名称", "Type": "类型", "Required": "必填", "Example": "示例", "Meaning": "说明",
	"Code": "错误码", "Text": "文本", "Solution": "解决方案", "When": "何时", "What to do": "怎么办", "Time": "时间", "State": "状态", "Status": "状态", "Reason": "原因",
	"Key": "Key", "Limit": "限额", "Number": "编号", "Kind": "类型", "Answer": "应答", "Request": "请求", "Event": "事件", "App": "应用", "API": "API", "URL": "URL",
	"Order number": "订单号", "Platform": "平台", "Seller": "卖家", "Stage": "阶段", "Lines": "订单行", "Line": "订单行", "Supplier": "供应商", "Quantity": "数量", "Goods": "商品类型",
	"Buyer": "买家", "Paid": "付款时间", "First seen": "首次出现", "Last change": "最近变化", "Cards": "卡密", "From": "来源", "Fix": "修正", "Test": "测试", "Replay": "重放",
	"Suning": "苏宁", "never": "永不", "%d ms": "%d 毫秒", "%d s": "%d 秒", "%d min": "%d 分钟", "%d h": "%d 小时", "%d days": "%d 天", "%s ago": "%s前", "in %s": "%s后",

	// Advice.
	"fix the call; sending it again unchanged cannot help": "修正调用；原样重发没有用",
	"send it again after a pause":                          "稍后重发",
	"nothing: what was asked has happened before":          "无需处理：所请求的事早已完成",
	"nothing: the call is right and the answer is final":   "停止：调用无误，应答即最终结果",

	// Notices.
	"Saved.": "已保存。", "Deleted.": "已删除。", "Imported.": "已导入。", "Released.": "已释放。", "Tried again.": "已重试。", "Given up.": "已放弃。", "The secret was replaced.": "密钥已替换。", "The replay has begun.": "重放已开始。",

	// Overview and funnel.
	"accepted calls in a second, of late": "每秒成功调用（最近一分钟）", "refused calls in a second, of late": "每秒被拒调用（最近一分钟）", "orders": "订单", "events": "事件", "work orders": "工单",
	"orders stuck longer than %s": "订单卡住超过 %s", "dead deliveries": "死信投递", "orders held for a person": "等待人工的订单",
	"Calls in a second, over the last hour": "最近一小时每秒调用", "accepted": "成功", "refused": "被拒",
	"The chart needs JavaScript; of late it was %.1f accepted and %.1f refused calls in a second.": "图表需要 JavaScript；最近每秒成功 %.1f 次，被拒 %.1f 次。",
	"Behind": "积压", "Oldest waits": "最久等待", "Retrying": "重试中", "Dead": "死信", "Held": "暂停",
	"There are none. Events are kept until there is one, and it may begin at the earliest.": "还没有投递目标。事件会一直保留，新投递目标可以从最早的事件开始。",
	"Add a destination": "添加投递目标", "Refused, by code, since the start": "启动以来的拒绝（按错误码）", "Calls": "调用",
	"%s stuck": "%s 单卡住", "none stuck": "没有卡住", "out, or further": "已出库或之后", "all platforms": "所有平台", "Suning, waiting for shipment: %s": "苏宁待发货：%s",
	"Automatic refund": "自动退款", "Refunded at": "退款时间", "No virtual line waits for its shipment.": "没有等待发货的虚拟商品。",
	"Stuck": "卡住的订单", "Stuck: %s": "卡住的订单：%s", "Unchanged for longer than %s, the longest first.": "超过 %s 没有变化，最久的在前。", "All stages": "所有阶段", "There are more: choose a stage above.": "还有更多，请在上方选择阶段。", "Unchanged for": "未变化",

	// Orders.
	"Order number begins with": "订单号开头", "No order number begins with %s.": "没有以 %s 开头的订单号。", "No orders yet. They come with the first call about them, or by an import.": "还没有订单。首次调用或导入后就会出现。",
	"locks": "锁单", "locked": "已锁定", "%d sellers have this number": "%d 个卖家有此订单号", "%d, masked": "%d 张，已掩码", "Flowed back": "已回流",
	"No lines are known; events were about the whole order.": "未知子订单；事件针对整单。", "Asked": "询问时间", "Settled": "结束时间", "Who decided": "谁决定", "Why not": "未锁原因", "the ledger": "账本", "Release": "释放",
	"Time line": "时间线", "No events: the order was imported.": "没有事件：订单是导入的。", "in a batch of %s": "随 %s 批量到达", "Odd": "异常", "attempts: %d": "%d 次尝试", "No destination takes it.": "没有投递目标接收它。",
	"Request and signed text": "请求与签名原文", "What was signed": "签名原文",
	"Rebuilt from what is kept: session and signature are not, and the time is that of acceptance.": "由保存的内容还原：不保存 session 和签名，时间为受理时间。",
	"Import orders": "导入订单", "Nothing was stored:": "未保存任何数据：", "line %d": "第 %d 行", "File": "文件", "or its text": "或文件内容", "Import": "导入", "Columns of a CSV": "CSV 的列", "Column": "列",
	"CSV with a head, NDJSON, or a JSON array; all or nothing, at most %d orders. What is absent stays as it is.": "带表头的 CSV、NDJSON 或 JSON 数组；全部成功或全部不保存，最多 %d 单。未给出的内容保持不变。",
	"Choose a file, or paste its text; at most %d MiB.":                                                           "请选择文件或粘贴内容，最大 %d MiB。",
	"This row cannot be read: %v": "此行无法读取：%v", "There is no column %q; the columns are listed below.": "没有 %q 列；可用的列见下表。", "The first line names the columns; number is missing.": "首行是列名；缺少 number（订单号）。",
	"taobao, suning, or a code of event.produce such as JD": "taobao、suning，或 event.produce 的平台编码，如 JD", "The seller; of Suning the supplier code, unless given": "卖家；苏宁缺省为供应商编码", "Order number; required": "订单号，必填",
	"The buyer's nick": "买家昵称", "The buyer's open uid": "买家 OpenUID", "yyyy-MM-dd HH:mm:ss in GMT+8, or RFC 3339": "GMT+8 的 yyyy-MM-dd HH:mm:ss，或 RFC 3339", "Number of the line or sub order": "行号或子订单号",
	"physical, recharge, card or gift": "physical 实物、recharge 充值、card 卡密、gift 礼品", "Number or decimal text": "数字或小数文本", "A line moves only when this is given": "给出时才改变行的状态", "Of the line": "行的供应商编码", "Suning: true or false: whether 210 is accepted": "苏宁：true 或 false，是否接受 210",

	"%s differs from that of the order's line %d.": "%s 与该订单第 %d 行的不一致。", "There is no row below the names of the columns.": "列名下面没有数据行。", "paid_at: %q is no time; write yyyy-MM-dd HH:mm:ss.": "付款时间 %q 格式不对，请写 yyyy-MM-dd HH:mm:ss。", "This is no JSON: %s": "这不是 JSON：%s", "This is no number.": "这不是数字。", "accepts_failure: %q is neither true nor false.": "accepts_failure：%q 既不是 true 也不是 false。", "The number of the line is missing.": "缺少行号。",

	// Events.
	"Came in": "随批量到达", "Parameters": "参数", "Work order": "工单", "Somebody decides about it, or said no: it is delivered to nobody.": "有人正在决定或已拒绝：不投递给任何投递目标。",
	"Events that Ordergate makes itself. They are delivered like any other: name them in a destination's APIs.": "Ordergate 自己产生的事件。它们和其他事件一样投递：在投递目标的 API 中填写其名称。",
	"New events appear by themselves.": "新事件会自动出现。",
	"Refunded automatically":           "已自动退款", "Lock violated": "锁单被违反", "Lock released": "锁单已释放", "Lock unknown": "锁单结果未知", "Order is stuck": "订单卡住", "Automatic refund is near": "即将自动退款", "Delivery is dead": "投递成为死信",
	"The last 1,000, in memory.": "内存中的最近 1,000 次。", "Refused call": "被拒调用", "Cut off.": "已截断。", "The body was too long to be kept: the signature cannot be examined.": "请求体过长未完整保存，无法检查签名。",

	// Deliveries and destinations.
	"Destination": "投递目标", "Tick": "勾选", "Attempts": "尝试次数", "Next": "下次", "Try the ticked ones again": "重试勾选的", "Give the ticked ones up": "放弃勾选的", "Try all %d dead ones again": "重试全部 %d 条死信", "Try all %d again now": "立即重试全部 %d 条",
	"The search may go on further along the log.": "可以继续沿日志查找。", "Everything got through, or is on its way.": "全部已送达，或正在途中。", "All deliveries": "查看全部投递", "Nothing is ticked.": "没有勾选任何一条。",
	"Its order waits for a person: try it again, or give it up, and the order's later events go on.": "该订单在等待人工：重试或放弃后，后续事件才会继续。",
	"Try again": "重试", "Give up": "放弃", "Last attempts": "最近的尝试", "Took": "耗时", "None is kept: of what was delivered, only with keep_success.": "没有保存：成功的投递只在 keep_success 时保存。",
	"%s places in the log": "%s 条", "the first for %s": "最早的已等待 %s", "It is down since %s: %s. Nothing is lost; it is tried again at %s.": "自 %s 起故障：%s。不会丢失任何事件；将于 %s 再试。",
	"The test was answered as it should be": "测试应答正常", "The test failed": "测试失败", "Try all dead ones again": "重试所有死信", "What did not get through": "未送达的",
	"Delivers part of the log again, beside what is delivered now, in order, with the ids that the events had.": "按顺序、以原事件 id 重新投递日志的一部分，与当前投递并行。",
	"From the place": "从位置", "or from the time": "或从时间", "up to the place": "到位置", "the end of the log now": "当前日志末尾", "What it is owed is forgotten.": "尚未投递的将不再投递。",
	"Replace the secret": "替换密钥", "New secret": "新密钥", "Overlap": "重叠时间", "How long the old one counts, too": "旧密钥继续有效的时间", "Give a name.": "请填写名称。", "There is one named %q already.": "名称 %q 已存在。", "A place in the log is a number.": "日志位置是数字。",
	"webhook: signed CloudEvents; top, suning: the same call to the platform; qimen: the reverse call to an ERP; nats: a stream": "webhook：带签名的 CloudEvents；top、suning：原样调用平台；qimen：反向调用 ERP；nats：流",
	"App key": "App Key", "top, suning, qimen: the merchant's app; nats: the user": "top、suning、qimen：商家的应用；nats：用户名", "Secret": "密钥", "webhook: whsec_ and Base64, as openssl rand -base64 24 makes it; left empty, the present one stays": "webhook：whsec_ 加 Base64，可用 openssl rand -base64 24 生成；留空则保持不变",
	"Session": "Session", "top, suning: the access token; left empty, the present one stays": "top、suning：访问令牌；留空则保持不变", "Methods and names of own events, one a line; - alone: none": "API 名与自有事件名，每行一个；只写 - 表示没有", "all that the kind can carry": "该类型支持的全部",
	"Platforms": "平台", "Sellers": "卖家", "One a line; - alone: none": "每行一个；只写 - 表示没有", "Enabled": "启用", "Off: nothing is sent, and what is owed stays owed": "关闭：不发送，未投递的保留", "In order": "按顺序", "Later events of an order wait for the earlier ones": "同一订单的后续事件等待之前的事件",
	"When one is dead": "出现死信时", "continue: the order's later events go on; hold: they wait for a person": "continue：后续事件继续；hold：等待人工处理", "Its answer is the caller's answer": "以它的应答作为调用方的应答", "Keep attempts that succeeded": "保留成功的尝试", "Timeout": "超时", "Such as 8s, at most 25s": "如 8s，最长 25s", "10s": "10s", "At a time": "并发数", "64": "64",
	"Letters, digits, dots, dashes and underscores": "字母、数字、点、横线和下划线", "Begins at": "起点", "earliest, a place in the log, or a time": "earliest、日志位置或时间", "with what comes from now on": "从现在起的事件",

	// Work orders and locks.
	"Tenant": "租户", "Plan": "计划",

	// Apps.
	"Protocol": "协议", "Permissions": "权限", "all methods": "所有 API", "%d methods": "%d 个 API", "Calls today": "今日调用", "%d in a second": "每秒 %d 次", "No app may call yet.": "还没有应用。", "Add an app": "添加应用",
	"the old one counts until %s": "旧密钥有效至 %s", "Expires": "过期时间", "Calls by day": "每日调用", "of %s a day": "每日限额 %s", "Its events": "它的事件", "Its refused calls": "它的被拒调用", "Sessions": "Session", "Token": "令牌", "Add a session": "添加 Session", "Give the token.": "请填写令牌。", "Its sessions go with it; its events stay.": "它的 Session 一并删除；事件保留。",
	"TOP: the seller of calls without a session": "TOP：无 session 调用的卖家", "Supplier code": "供应商编码", "Suning: the supplier whose lines it may report; empty: any": "苏宁：可上报其订单行的供应商；空表示任意", "Who decides": "由谁决定", "ledger: the orders and sessions here; upstream: the real platform behind this gateway": "ledger：以本网关的订单和 session 为准；upstream：以后面的真实平台为准",
	"Methods, one a line; - alone: none": "API 名，每行一个；只写 - 表示没有", "Topics": "消息主题", "Statuses, one a line, or JSON with status and ext_fields; - alone: none": "状态，每行一个，或带 status 和 ext_fields 的 JSON；只写 - 表示没有", "all topics": "所有主题", "Addresses": "地址", "Addresses or networks it may call from, one a line": "允许调用的地址或网段，每行一个", "any address": "任意地址",
	"Calls in a second": "每秒调用", "no limit": "不限", "Calls in a day": "每日调用", "Days end at 00:00 GMT+8": "以 GMT+8 的 00:00 为界", "2026-01-02T15:04:05+08:00": "2026-01-02T15:04:05+08:00", "Locks until": "可锁至", "TOP, a merchant's: until the warehouse is notified, or until the goods leave it": "TOP 商家应用：直到通知配货，或直到出库", "Calls need an access token": "调用需要访问令牌", "app_key (TOP) or appKey (Suning)": "app_key（TOP）或 appKey（苏宁）",

	// APIs, verify, faults.
	"Method": "API 名", "reverse call": "反向调用", "Try it": "试一试", "Merchant who is called": "被调用的商家", "by the seller": "按卖家", "Format": "格式", "Digest": "签名算法", "Sign and send": "签名并发送", "Command line": "命令行",
	"The connection was closed without an answer: a fault on demand, maybe.": "连接未应答即关闭：可能是注入的故障。", "The signature holds for ten minutes. Put what is secret in the place of ***, and the token in SESSION.": "签名十分钟内有效。请把 *** 换成实际密文，并把令牌填入 SESSION。",
	"Refusals": "错误码", "Oddities": "提示", "Faults of the protocol": "协议级错误", "Choose an app; make one under Apps first.": "请选择应用；先在「应用」中添加。", "That session is another app's.": "该 session 属于另一个应用。",
	"Paste a raw HTTP request: it is said whether its signature and time hold, and if not, which of %d known mistakes was made.": "粘贴原始 HTTP 请求：判断签名和时间是否正确；若不正确，指出是 %d 种已知错误中的哪一种。",
	"The signature or its time does not hold": "签名或时间不正确", "The signature holds": "签名正确", "Its time is off by %s.": "时间相差 %s。", "What is to be signed": "应签名的原文",
	"Empty: that of the app that the request names": "空：使用请求所写应用的密钥", "Received at": "收到时间", "GMT+8; empty: whenever, as long as the time is one": "GMT+8；留空则只检查时间格式", "It is a reverse call of Qimen's": "这是奇门的反向调用",
	"The time is not yyyy-MM-dd HH:mm:ss.": "时间格式不是 yyyy-MM-dd HH:mm:ss。", "That is no HTTP request: it begins with a line such as POST /router/rest HTTP/1.1, then headers, an empty line, and the body.": "这不是 HTTP 请求：首行形如 POST /router/rest HTTP/1.1，然后是请求头、空行和请求体。", "There is no app %q; give its secret.": "没有应用 %q；请填写密钥。", "The request cannot be read: %v": "请求无法读取：%v",
	"A sandbox's answers on demand: calls that match get them, once they have passed the checks of their protocol.": "沙箱的按需应答：通过协议检查且匹配的调用会得到它们。", "What they get": "得到的应答", "So far": "已命中", "no answer": "无应答", "a result": "结果", "a body": "正文", "Add a fault": "添加故障",
	"A code or sub_code of the API's page": "API 页面上的 code 或 sub_code", "HTTP status": "HTTP 状态", "Delay": "延迟", "Such as 3s, at most 50s": "如 3s，最长 50s", "Carry it out, and close the connection without an answer": "执行后不应答并关闭连接", "How many calls": "多少次调用", "Of a hundred": "百分比",
}
