package apply

import "github.com/ordergate/ordergate/internal/order"

// AppOf shows a stored app in the format in which it was declared.
func AppOf(a *order.App) App {
	out := App{
		Key: a.Key, Protocol: a.Protocol, Authority: a.Authority, Secret: a.Secret, Name: a.Name, Seller: a.Seller,
		SupplierCode: a.SupplierCode, Methods: a.Methods, ExpiresAt: AsTime(a.ExpiresAt),
		OAuth: a.OAuth, Options: a.Options, LockUntil: a.LockUntil,
	}
	if a.Topics != nil {
		topics := make([]Topic, 0, len(*a.Topics))
		for _, t := range *a.Topics {
			topics = append(topics, Topic(t))
		}
		out.Topics = &topics
	}
	for _, prefix := range a.IPAllow {
		text := prefix.String()
		if prefix.IsSingleIP() {
			text = prefix.Addr().String()
		}
		out.IPAllow = append(out.IPAllow, text)
	}
	if a.Rate != (order.Rate{}) {
		rate := Rate(a.Rate)
		out.Rate = &rate
	}
	return out
}

// SessionOf shows a stored session.
func SessionOf(s *order.Session) Session {
	return Session{Token: s.Token, AppKey: s.AppKey, Seller: s.Seller, ExpiresAt: AsTime(s.ExpiresAt)}
}
