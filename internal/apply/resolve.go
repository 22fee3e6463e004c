package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// MaxOrders is how many orders one document may hold. It is stored whole or not
// at all, in one transaction that others wait for.
const MaxOrders = 10_000

// Mistake is what is wrong with one field of a document.
type Mistake struct {
	Location string // apps[0].protocol
	Text     string
}

// Mistakes are all that was found.
type Mistakes []Mistake

// Error lists them, one a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Location + ": " + mistake.Text
	}
	return strings.Join(lines, "\n")
}

// Resolve checks a document and completes it from what is stored already. The
// error is Mistakes when the document is wrong.
func (d *Document) Resolve(ctx context.Context, store order.Store) (order.Declared, error) {
	r := resolver{ctx: ctx, store: store, apps: map[string]bool{}}
	var out order.Declared
	for i, a := range d.Apps {
		out.Apps = append(out.Apps, r.app(fmt.Sprintf("apps[%d].", i), a))
	}
	for i, s := range d.Sessions {
		out.Sessions = append(out.Sessions, r.session(fmt.Sprintf("sessions[%d].", i), s))
	}
	if len(d.Orders) > MaxOrders {
		r.wrong("orders", "has %d rows; send at most %d at a time", len(d.Orders), MaxOrders)
		return out, r.result()
	}
	for i, o := range d.Orders {
		out.Orders = append(out.Orders, r.order(fmt.Sprintf("orders[%d].", i), o))
	}
	return out, r.result()
}

type resolver struct {
	ctx      context.Context
	store    order.Store
	apps     map[string]bool // declared here
	mistakes Mistakes
	err      error // of the store
}

func (r *resolver) wrong(location, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{location, fmt.Sprintf(format, args...)})
}

func (r *resolver) result() error {
	if r.err == nil && len(r.mistakes) > 0 {
		return r.mistakes
	}
	return r.err
}

// stored looks an app up; nil when there is none.
func (r *resolver) stored(key string) *order.App {
	app, err := r.store.App(r.ctx, key)
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		r.err = err
	}
	if err != nil {
		return nil
	}
	return app
}

func (r *resolver) app(at string, a App) *order.App {
	out := &order.App{
		Key: a.Key, Protocol: a.Protocol, Authority: cmp.Or(a.Authority, order.Ledger), Secret: a.Secret,
		Name: a.Name, Seller: a.Seller, SupplierCode: a.SupplierCode, Methods: a.Methods,
	}
	if contract.Blank(a.Key) {
		r.wrong(at+"key", "is required")
	}
	if r.apps[a.Key] {
		r.wrong(at+"key", "%q is declared twice", a.Key)
	}
	r.apps[a.Key] = true
	if a.Secret == "" || a.Secret == contract.Masked {
		old := r.stored(a.Key)
		if old == nil {
			r.wrong(at+"secret", "is required for a new app")
		} else {
			out.Secret, out.OldSecret, out.OldUntil = old.Secret, old.OldSecret, old.OldUntil
		}
	}
	oneOf(r, at+"protocol", a.Protocol, contract.TOP, contract.Suning)
	oneOf(r, at+"authority", out.Authority, order.Ledger, order.Upstream)
	if a.Topics != nil {
		topics := make([]order.Topic, 0, len(*a.Topics))
		for i, t := range *a.Topics {
			if t.Status != "*" && !order.IsTopic(t.Status) {
				r.wrong(fmt.Sprintf("%stopics[%d]", at, i), "%q is no status: capitals, digits and underscores, such as QIMEN_CP_OUT", t.Status)
			}
			topics = append(topics, order.Topic(t))
		}
		out.Topics = &topics
	}
	for i, text := range a.IPAllow {
		prefix, err := ParsePrefix(text)
		if err != nil {
			r.wrong(fmt.Sprintf("%sip_allow[%d]", at, i), "%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		out.IPAllow = append(out.IPAllow, prefix)
	}
	if a.Rate != nil {
		out.Rate = order.Rate(*a.Rate)
		if out.Rate.PerSecond < 0 || out.Rate.PerDay < 0 {
			r.wrong(at+"rate", "must not be negative")
		}
	}
	if a.ExpiresAt != nil {
		out.ExpiresAt = time.Time(*a.ExpiresAt)
	}
	return out
}

// ParsePrefix reads a network, or an address as a network of one.
func ParsePrefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func oneOf[T ~string](r *resolver, at string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		r.wrong(at, "%q is none of %v", value, allowed)
	}
}

func (r *resolver) session(at string, s Session) *order.Session {
	if contract.Blank(string(s.Token)) {
		r.wrong(at+"token", "is required")
	}
	if s.AppKey == "" || !r.apps[s.AppKey] && r.stored(s.AppKey) == nil {
		r.wrong(at+"app_key", "no app %q; declare it first", s.AppKey)
	}
	out := &order.Session{Token: s.Token, AppKey: s.AppKey, Seller: s.Seller}
	if s.ExpiresAt != nil {
		out.ExpiresAt = time.Time(*s.ExpiresAt)
	}
	return out
}

var decimal = regexp.MustCompile(`^\d{1,12}(\.\d{1,12})?$`)

func (r *resolver) order(at string, o Order) order.Import {
	if contract.Blank(o.Number) {
		r.wrong(at+"number", "is required")
	}
	if contract.Blank(o.Platform) {
		r.wrong(at+"platform", "is required")
	}
	out := order.Import{
		Key:   order.Key{Platform: o.Platform, Seller: o.Seller, Number: o.Number},
		Buyer: o.Buyer, BuyerOpenUID: o.BuyerOpenUID,
	}
	if o.Seller == "" && o.Platform == order.Suning {
		out.Seller = supplier(o)
	}
	if o.PaidAt != nil {
		out.PaidAt = (*time.Time)(o.PaidAt)
	}
	for i, l := range o.Lines {
		out.Lines = append(out.Lines, r.line(fmt.Sprintf("%slines[%d].", at, i), o, l))
	}
	return out
}

// supplier is the seller of a Suning order: the supplier of its lines.
func supplier(o Order) string {
	code := o.SupplierCode
	for _, l := range o.Lines {
		code = cmp.Or(code, l.SupplierCode)
	}
	if code == nil {
		return ""
	}
	return *code
}

func (r *resolver) line(at string, o Order, l Line) order.ImportLine {
	if contract.Blank(l.Number) {
		r.wrong(at+"number", "is required")
	}
	if l.Kind != nil {
		oneOf(r, at+"kind", *l.Kind, order.Kinds...)
	}
	if l.State != nil {
		oneOf(r, at+"state", *l.State, order.States(o.Platform)...)
	}
	if l.Quantity != nil && !decimal.MatchString(string(*l.Quantity)) {
		r.wrong(at+"quantity", "%q is no decimal number", *l.Quantity)
	}
	return order.ImportLine{
		Number: l.Number, Kind: l.Kind, Quantity: (*string)(l.Quantity), State: l.State,
		SupplierCode: cmp.Or(l.SupplierCode, o.SupplierCode),
	}
}
