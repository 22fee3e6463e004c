package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// lockList is a page of locks.
type lockList struct {
	Query  url.Values
	States []order.LockState
	Locks  []lock
	Next   string
}

// lock is a lock as the management API shows it.
type lock struct {
	ID          string          `json:"id"`
	Platform    string          `json:"platform"`
	Seller      string          `json:"seller"`
	Order       string          `json:"order"`
	Line        string          `json:"line"`
	State       order.LockState `json:"state"`
	Destination string          `json:"destination"`
	Code        string          `json:"code"`
	Text        string          `json:"text"`
	AskedAt     time.Time       `json:"asked_at"`
	SettledAt   time.Time       `json:"settled_at"`
	ViolatedAt  time.Time       `json:"violated_at"`
}

// Releasable reports whether a person can release it.
func (l lock) Releasable() bool {
	return l.State == order.LockHeld || l.State == order.LockUnknown || l.State == order.LockAsked
}

// Path leads to its order.
func (l lock) Path() string {
	return orderPath(order.Key{Platform: l.Platform, Seller: l.Seller, Number: l.Order})
}

func (s *Server) locks(v *visit) (any, error) {
	list := lockList{Query: v.URL.Query(), States: order.LockStates}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for _, name := range []string{"state", "order", "after"} {
		if value := list.Query.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	var page struct {
		Items []lock
		Next  string
	}
	if err := v.failed(s.manage(v.Context(), http.MethodGet, "/v1/locks?"+query.Encode(), nil, &page)); err != nil {
		return nil, err
	}
	list.Locks, list.Next = page.Items, page.Next
	return list, nil
}

// toLocks leads who reads the page of a release again to the list.
func (s *Server) toLocks(v *visit) (any, error) {
	v.goTo = "/locks"
	return nil, nil
}

func (s *Server) releaseLock(v *visit) (any, error) {
	if err := v.failed(s.manage(v.Context(), http.MethodPost, "/v1/locks/"+escape(v.PathValue("id"))+"/release", nil, nil)); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.locks(v)
	}
	return v.done(local(v.PostFormValue("back")), "Released.")
}
