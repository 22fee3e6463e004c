// Package console shows the gateway in a browser, and operates it: pages on the admin
// port, rendered here, readable without JavaScript, in Chinese and English.
//
// It reads through order.Store and changes everything through the management API, so that
// there is one place that checks what people say. Its pages are templates, one a page; what
// they say in words is a row of texts.
package console
