package main

import (
	"fmt"
	"net"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// scheme is what callers of the protocol port speak.
func (g *gateway) scheme() string {
	if g.certificate.Load() != nil {
		return "https"
	}
	return "http"
}

func (g *gateway) announce(t *terminal, protocol, management net.Addr) {
	token := "as given"
	switch {
	case g.tokenAt != "":
		token = "in " + g.tokenAt
	case g.tokenHash != "" && g.token != "":
		token = string(g.token) + " (shown this once; its hash is in the database)"
	case g.tokenHash != "":
		token = "as shown when the database was new"
	}
	fmt.Fprintf(t.out, "Ordergate %s is ready.\n  protocols   %s://%s%s (TOP), %s (Suning), %s and %s (Qimen)\n  console     http://%s/\n  management  http://%s/v1/openapi.json\n  admin token %s\n  database    %s\n",
		version, g.scheme(), protocol, wire.TOPPath, wire.SuningPath, wire.QimenPath, wire.SPIPath, management, management, token, store.Redacted(g.cmd.Load().Database))
	if g.demo == nil {
		return
	}
	fmt.Fprintln(t.out, "Try:")
	for _, app := range g.demo.Apps {
		call := fmt.Sprintf("--url http://%s --app-key %s --secret %s", protocol, app.Key, string(app.Secret))
		show := fmt.Sprintf("--server http://%s", management) // leaveToken
		switch {
		case app.Protocol == contract.Suning:
			o := g.demo.Orders[0]
			fmt.Fprintf(t.out, "  ordergate call %s %s iqStatus=%s orderId=%s orderItemId=%s\n", contract.LeaguerStatus.Method, call, contract.StatusShipped, o.Number, o.Lines[1].Number)
			fmt.Fprintf(t.out, "  ordergate orders show %s %s %s\n", o.Platform, o.Number, show)
		case app.Key == g.demo.Sessions[0].AppKey:
			fmt.Fprintf(t.out, "  ordergate call %s %s --session %s status=%s tid=1\n", contract.EventProduce.Method, call, string(g.demo.Sessions[0].Token), contract.StatusTransfer)
			fmt.Fprintf(t.out, "  ordergate orders show %s 1 %s\n", order.Taobao, show)
		case app.Seller != "":
			caller, o := g.demo.Apps[0], g.demo.Orders[len(g.demo.Orders)-1] // it can be locked
			fmt.Fprintf(t.out, "  ordergate call %s --url http://%s --app-key %s --secret %s --target-app-key %s sellerNick=%s buyerNick=%s 'bizOrder={\"tid\":\"%s\",\"subOrderIds\":\"%s\"}' callType=%s\n",
				contract.OrderIntercept.Method, protocol, caller.Key, string(caller.Secret), app.Key, app.Seller, *o.Buyer, o.Number, o.Lines[0].Number, contract.CallSynchronous)
		}
	}
}
