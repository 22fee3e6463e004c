package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
)

// What both engines say alike when they change apps, sessions and destinations.
const (
	upsertApp         = "INSERT INTO app (key, secret, old_secret, doc) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET secret = excluded.secret, old_secret = excluded.old_secret, doc = excluded.doc"
	upsertSession     = "INSERT INTO session (mark, token, app_key, seller, expires_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (mark) DO UPDATE SET app_key = excluded.app_key, seller = excluded.seller, expires_at = excluded.expires_at"
	upsertDestination = "INSERT INTO destination (name, secrets, doc) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET secrets = excluded.secrets, doc = excluded.doc"
)

// writeDirectory writes apps and sessions, in the order of their keys.
func (w *writer) writeDirectory(key *secret.Key, changes *writes) error {
	for _, app := range changes.purged {
		w.do("DELETE FROM session WHERE app_key = ?", app)
	}
	for _, name := range slices.Sorted(maps.Keys(changes.apps)) {
		if err := w.writeApp(key, name, changes.apps[name]); err != nil {
			return fmt.Errorf("writing an app: %w", err)
		}
	}
	for _, token := range slices.Sorted(maps.Keys(changes.sessions)) {
		w.writeSession(key, token, changes.sessions[token])
	}
	if w.err != nil {
		return fmt.Errorf("writing a session: %w", w.err)
	}
	return nil
}

// bookmarkPlace is where a bookmark stands.
func bookmarkPlace(name string) string { return "bookmark/" + name }

// writeBookmarks writes what the next ones to do pieces of work are told.
func (w *writer) writeBookmarks(changes *writes) error {
	for _, name := range slices.Sorted(maps.Keys(changes.bookmarks)) {
		w.do("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", bookmarkPlace(name), changes.bookmarks[name])
	}
	return w.err
}

// writeDestinations writes destinations and opens or drops their queues.
func (w *writer) writeDestinations(key *secret.Key, changes *writes, shards int, end int64) error {
	for _, name := range slices.Sorted(maps.Keys(changes.destinations)) {
		d := changes.destinations[name]
		if err := w.writeDestination(key, name, d); err != nil {
			return fmt.Errorf("writing a destination: %w", err)
		}
		if err := w.writeQueue(name, d, shards, end, changes.now); err != nil {
			return fmt.Errorf("writing a destination's queue: %w", err)
		}
	}
	return nil
}

func (w *writer) writeDestination(key *secret.Key, name string, d *order.Destination) error {
	if d == nil {
		w.do("DELETE FROM destination WHERE name = ?", name)
		return w.err
	}
	doc, err := json.Marshal(d)
	if err != nil {
		return err
	}
	w.do(upsertDestination, name, key.Seal(sealedSecrets(d.DestinationSecrets), destinationPlace(name)), string(doc))
	return w.err
}

func (w *writer) writeSession(key *secret.Key, token contract.Secret, t *order.Session) {
	mark := key.Mark(string(token))
	if t == nil {
		w.do("DELETE FROM session WHERE mark = ?", mark[:])
		return
	}
	w.do(upsertSession, mark[:], key.Seal(string(token), sessionPlace(mark)), t.AppKey, t.Seller, millis(t.ExpiresAt))
}

func (w *writer) writeApp(key *secret.Key, name string, a *order.App) error {
	if a == nil {
		w.do("DELETE FROM app WHERE key = ?", name)
		return w.err
	}
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	var old any
	if a.OldSecret != "" {
		old = key.Seal(string(a.OldSecret), appPlace(a.Key))
	}
	w.do(upsertApp, a.Key, key.Seal(string(a.Secret), appPlace(a.Key)), old, string(doc))
	return w.err
}

func appPlace(key string) string          { return "app/" + key }
func destinationPlace(name string) string { return "destination/" + name }
func eventPlace(id string) string         { return "event/" + id }
func sessionPlace(mark [32]byte) string   { return fmt.Sprintf("session/%x", mark) }
