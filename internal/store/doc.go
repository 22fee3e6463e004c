// Package store keeps the ledger in a database.
//
// Calls are committed in groups: one committer takes whatever waits, loads the
// orders concerned, decides each task in turn, writes everything in one
// transaction and then releases the answers. What is specific to a database is
// an engine; the grouping, the deciding and the caches are shared.
package store
