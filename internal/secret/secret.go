// Package secret seals what must not be readable at rest, and derives look-up
// marks for what must be found without being stored.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the size of the master key in bytes.
const KeySize = 32

// Key seals texts with AES-256-GCM and marks them with HMAC-SHA-256. Both keys
// are derived from one master key.
type Key struct {
	aead        cipher.AEAD
	mac         []byte
	fingerprint string
}

// New derives a Key from 32 bytes.
func New(master []byte) (*Key, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("key has %d bytes, want %d: make one with: openssl rand -base64 32", len(master), KeySize)
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, master, nil, "ordergate "+purpose, KeySize)
	}
	sealing, err := derive("sealing")
	if err != nil {
		return nil, err
	}
	mac, err := derive("mac")
	if err != nil {
		return nil, err
	}
	public, err := derive("fingerprint")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Key{aead: aead, mac: mac, fingerprint: hex.EncodeToString(public[:8])}, nil
}

// Parse derives a Key from the Base64 text of 32 bytes.
func Parse(text string) (*Key, error) {
	master, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("key is not Base64: make one with: openssl rand -base64 32")
	}
	return New(master)
}

// Load reads the key of a file, and makes the file with a new key and mode 0600
// when there is none.
func Load(path string) (*Key, error) {
	text, err := LoadText(path, func() string {
		master := make([]byte, KeySize)
		rand.Read(master)
		return base64.StdEncoding.EncodeToString(master)
	})
	if err != nil {
		return nil, err
	}
	k, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// LoadText reads a one-line secret file, and makes it with mode 0600 when there
// is none.
func LoadText(path string, fresh func() string) (string, error) {
	b, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return text, nil
	}
	if err == nil {
		return "", fmt.Errorf("%s is empty: delete it, or restore it", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text := fresh()
	return text, create(path, text+"\n")
}

// create makes a file of mode 0600 that is whole, and on disk, or not there.
func create(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it replaces nothing
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Seal encrypts text. The place (table and row) is bound into the result: what
// was sealed for one place does not open at another.
func (k *Key) Seal(text, place string) []byte {
	return k.aead.Seal(nil, nil, []byte(text), []byte(place))
}

// Open decrypts what Seal made for the same place.
func (k *Key) Open(sealed []byte, place string) (string, error) {
	b, err := k.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return "", fmt.Errorf("opening a sealed value of %s: wrong key or damaged data", place)
	}
	return string(b), nil
}

// Mark is a keyed MAC of text: equal for equal texts, useless without the key.
func (k *Key) Mark(text string) [sha256.Size]byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write([]byte(text))
	var m [sha256.Size]byte
	h.Sum(m[:0])
	return m
}

// Hash is what is kept of a secret that is only to be recognized. The secret must be
// one that nobody can guess.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// IsHash reports whether a hash is a text's.
func IsHash(hash, text string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(Hash(text))) == 1
}

// Fingerprint tells keys apart without revealing them.
func (k *Key) Fingerprint() string { return k.fingerprint }
