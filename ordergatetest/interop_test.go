//go:build interop

package ordergatetest_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

// verifier is the npm package that receivers in JavaScript verify with.
const verifier = "standardwebhooks@1.1.1"

// receiver answers 200 to what the package accepts, 400 to the rest.
const receiver = `
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";
const hook = new Webhook(process.argv[2]);
createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    let status = 200, said;
    try {
      said = hook.verify(Buffer.concat(chunks), request.headers).type;
    } catch (error) {
      status = 400;
      said = String(error);
    }
    console.log(status + " " + said);
    response.writeHead(status).end();
  });
}).listen(0, "127.0.0.1", function () { console.log("listening " + this.address().port); });
`

// A verifier that is not ours accepts webhooks: with the secret, with the old one during
// an overlap, and with no other.
func TestVerifiedByAnother(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "receiver.mjs"), []byte(receiver), 0o600); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--silent", verifier)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install %s: %v\n%s", verifier, err, out)
	}
	const newer = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name, knows string
		rotate      string
		want        string
	}{
		{"the secret", whsec, "", "200"},
		{"another secret", newer, "", "400"},
		{"the old secret during an overlap", whsec, `{"secret":"` + newer + `","overlap":"1h"}`, "200"},
		{"the new secret during an overlap", newer, `{"secret":"` + newer + `","overlap":"1h"}`, "200"},
		{"the old secret without one", whsec, `{"secret":"` + newer + `","overlap":"0s"}`, "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := exec.Command("node", "receiver.mjs", c.knows)
			node.Dir = dir
			out, err := node.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = node.Process.Kill()
				_ = node.Wait()
			}()
			said := bufio.NewScanner(out)
			said.Scan()
			port, ok := strings.CutPrefix(said.Text(), "listening ")
			if !ok {
				t.Fatal(said.Text())
			}
			late := time.AfterFunc(time.Minute, func() { _ = node.Process.Kill() })
			defer late.Stop()
			g := ordergatetest.Start(t)
			if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"oms","kind":"webhook","url":"http://127.0.0.1:%s/","secret":%q}]}`, port, whsec)); err != nil {
				t.Fatal(err)
			}
			if c.rotate != "" {
				if code := manage(t, g, http.MethodPost, "/v1/destinations/oms/rotate", c.rotate, nil); code != http.StatusOK {
					t.Fatal(code)
				}
			}
			if _, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "1", Extension: `{"号":"中文 <&>"}`}); err != nil {
				t.Fatal(err)
			}
			said.Scan()
			if status, text, _ := strings.Cut(said.Text(), " "); status != c.want || c.want == "200" && text != contract.EventProduce.Method {
				t.Errorf("the verifier says %s, want %s", said.Text(), c.want)
			}
		})
	}
}
