// Receives Ordergate's webhooks. Go, standard library only.
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 5 * time.Minute
	largest   = 4 << 20 // bytes
)

type event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Subject string `json:"subject"`
}

type receiver struct {
	key  []byte
	mu   sync.Mutex
	seen map[string]bool // keep these in your database, in the transaction that handles the event
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("WEBHOOK_SECRET is not whsec_ and Base64")
	}
	port := cmp.Or(os.Getenv("PORT"), "9000")
	http.Handle("POST /hook", &receiver{key: key, seen: map[string]bool{}})
	log.Print("listening on 127.0.0.1:" + port)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil {
		http.Error(w, "too large, or broken off", http.StatusBadRequest)
		return
	}
	if !rc.verified(r.Header, body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	rc.mu.Lock()
	if !rc.seen[e.ID] {
		fmt.Println(e.ID, e.Type, cmp.Or(e.Subject, "-"))
		rc.seen[e.ID] = true
	}
	rc.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// verified says whether the body was signed with our secret, and lately.
func (rc *receiver) verified(h http.Header, body []byte) bool {
	id, timestamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, rc.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// While a secret is replaced there are two signatures, with a blank between.
	for _, given := range strings.Split(h.Get("webhook-signature"), " ") {
		if hmac.Equal(want, []byte(given)) {
			return true
		}
	}
	return false
}
