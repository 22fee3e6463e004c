package order

import "time"

// WorkOrderKey names a work order (工单). Each app has its own, by tenant.
type WorkOrderKey struct {
	App    string
	Tenant string // tenant_code; empty: none
	ID     string // work_order_id
}

// WorkOrder is one work order as its last event left it. A stored one is never
// changed, only replaced.
type WorkOrder struct {
	Row int64 // the store's; 0 until stored
	WorkOrderKey
	Type      string
	Status    string
	PlanID    string
	OrderID   string // number of the Taobao order that it is about
	Timestamp string // ts of the event that set the status, in Unix milliseconds; empty: it had none
	CreatedAt time.Time
	UpdatedAt time.Time
}

// EventIDKey is an event id, which an app gives within a tenant.
type EventIDKey struct{ App, Tenant, ID string }

// EventID is an event id that was used, and a digest of what was sent under it.
type EventID struct {
	EventIDKey
	Content string
}
