// Package admin is the management API: apps, sessions, orders, events and the
// declared state, as JSON under /v1 of the admin port. Its OpenAPI description
// is made from the types.
package admin
