package apply

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// MaxOrders is how many orders one document may hold. It is stored whole or not
// at all, in one transaction that others wait for.
const MaxOrders = 10_000

// maxLines is how many lines the orders of one document may have together.
const maxLines = 50_000

// Resolve checks a document as far as that needs no look at what is stored. The
// error is [order.Mistakes].
func (d *Document) Resolve() (order.Declared, error) {
	r := resolver{apps: map[string]bool{}, destinations: map[string]bool{}}
	var out order.Declared
	for i, a := range d.Apps {
		out.Apps = append(out.Apps, r.app(fmt.Sprintf("apps[%d].", i), a))
	}
	for i, s := range d.Sessions {
		out.Sessions = append(out.Sessions, r.session(fmt.Sprintf("sessions[%d].", i), s))
	}
	for i, destination := range d.Destinations {
		out.Destinations = append(out.Destinations, r.destination(fmt.Sprintf("destinations[%d].", i), destination))
	}
	lines := 0
	for _, o := range d.Orders {
		lines += len(o.Lines)
	}
	if len(d.Orders) > MaxOrders || lines > maxLines {
		r.wrong("orders", "are %d with %d lines; send at most %d with %d at a time", len(d.Orders), lines, MaxOrders, maxLines)
		return out, r.mistakes
	}
	for i, o := range d.Orders {
		out.Orders = append(out.Orders, r.order(fmt.Sprintf("orders[%d].", i), o))
	}
	if r.mistakes != nil {
		return out, r.mistakes
	}
	return out, nil
}

// Store checks a document and stores it, whole or not at all. The error is
// [order.Mistakes] when the document is wrong, an [order.Conflict] when it contradicts
// what there is, else the store's.
func (d *Document) Store(ctx context.Context, store order.Store) error {
	declared, err := d.Resolve()
	if err != nil {
		return err
	}
	for _, destination := range declared.Destinations {
		if !destination.FromTime.IsZero() {
			place, err := store.SeqAt(ctx, destination.FromTime)
			if err != nil {
				return err
			}
			destination.From = &place
		}
	}
	t := order.Declare(declared)
	if err := store.Commit(ctx, t); err != nil {
		return err
	}
	return t.Err
}

type resolver struct {
	apps         map[string]bool // declared here
	destinations map[string]bool // declared here
	mistakes     order.Mistakes
}

func (r *resolver) wrong(location, format string, args ...any) {
	r.mistakes = append(r.mistakes, order.Mistake{Location: location, Text: fmt.Sprintf(format, args...)})
}

func (r *resolver) app(at string, a App) *order.App {
	out := &order.App{
		Key: a.Key, Protocol: a.Protocol, Authority: cmp.Or(a.Authority, order.Ledger), Secret: a.Secret,
		Name: a.Name, Seller: a.Seller, SupplierCode: a.SupplierCode, Methods: a.Methods, OAuth: a.OAuth, Options: a.Options, LockUntil: a.LockUntil,
	}
	if contract.Blank(a.Key) {
		r.wrong(at+"key", "is required")
	}
	if r.apps[a.Key] {
		r.wrong(at+"key", "%q is declared twice", a.Key)
	}
	r.apps[a.Key] = true
	switch {
	case a.Secret == contract.Masked:
		out.Secret = "" // as it reads back: it keeps the present one
	case a.Secret != "" && contract.Blank(string(a.Secret)):
		r.wrong(at+"secret", "is blank")
	}
	oneOf(r, at+"protocol", a.Protocol, contract.TOP, contract.Suning)
	oneOf(r, at+"authority", out.Authority, order.Ledger, order.Upstream)
	r.options(at+"options.", a)
	if a.LockUntil != "" {
		oneOf(r, at+"lock_until", a.LockUntil, order.UntilNotify, order.UntilOut)
	}
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

func (r *resolver) options(at string, a App) {
	for _, name := range slices.Sorted(maps.Keys(a.Options)) {
		options := order.Options(a.Protocol)
		if i := slices.IndexFunc(options, func(o order.Option) bool { return o.Name == name }); i >= 0 {
			oneOf(r, at+name, a.Options[name], options[i].Values...)
		} else {
			r.wrong(at+name, "an app of %s has no such option", a.Protocol)
		}
	}
}

// ParsePrefix reads a network, or an address as a network of one.
func ParsePrefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err == nil && prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix, err
}

func oneOf[T ~string](r *resolver, at string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		r.wrong(at, "%q is none of %v", value, allowed)
	}
}

func (r *resolver) session(at string, s Session) *order.Session {
	switch {
	case contract.Blank(string(s.Token)):
		r.wrong(at+"token", "is required")
	case s.Token == contract.Masked:
		r.wrong(at+"token", "is masked: lists do not show tokens")
	}
	if contract.Blank(s.AppKey) {
		r.wrong(at+"app_key", "is required")
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
	listed := map[string]bool{}
	for i, l := range o.Lines {
		if listed[l.Number] {
			r.wrong(fmt.Sprintf("%slines[%d].number", at, i), "%q is listed twice", l.Number)
		}
		listed[l.Number] = true
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
		SupplierCode: cmp.Or(l.SupplierCode, o.SupplierCode), AcceptsFailure: l.AcceptsFailure,
	}
}
