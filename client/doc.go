// Package client calls the Taobao Open Platform, Qimen and the Suning Open Platform, or any
// gateway that speaks their protocols, with typed requests and typed refusals.
//
// A [Client] speaks for one app:
//
//	c := &client.Client{
//		URL:     "https://eco.taobao.com",
//		AppKey:  "12345678",
//		Secret:  contract.Secret(os.Getenv("APP_SECRET")),
//		Session: contract.Secret(os.Getenv("SELLER_TOKEN")),
//	}
//	_, err := c.EventProduce(ctx, &contract.EventProduceRequest{
//		Status: contract.StatusTransfer, OrderID: "30753531820144197", ERPOrderID: "SO-1",
//	})
//
// Requests and replies are the structs of package contract. A field that is
// blank is neither sent nor signed.
//
// # When the answer is no
//
// What the platform refuses is a [*contract.Refused]; errors.Is finds its row in
// the vendor's table, so no text needs to be compared:
//
//	switch {
//	case errors.Is(err, contract.AlreadyBackflow):
//		// the platform has this event already: done
//	case errors.Is(err, contract.ExpiredSession):
//		// the seller must authorise again
//	case errors.Is(err, client.ErrUnknown):
//		// nobody knows whether the platform has it: ask, or send a repeatable call again
//	}
//
// [Advice] says in one word what the table says to do about it: fix the call,
// retry it later, take it as done, or stop. A call that did not reach the
// platform, or came back without its answer, is an [*Unreached]; an answer that
// is none of the platform's is [ErrNotAnswer] within one. Any other error is about
// what was to be sent.
//
// Some APIs say no within a normal answer (event.emit's result.success). Such a
// no is the same [*contract.Refused]; the reply is returned beside it. The events
// of [Client.EventsProduce] each have a result of their own.
//
// [Client.LeaguerStatus] reports a status that Suning knows already (105, 106, 111)
// as done, with that answer in [LeaguerStatusResult].Before. Its errors of the
// network also are [contract.NetworkFailure] or [contract.NetworkStatus], the codes
// that the page has for them.
//
// A supplier of Suning has its own client and does not look at the answer twice:
//
//	c := &client.Client{URL: "https://open.suning.com", AppKey: key, Secret: secret}
//	result, err := c.LeaguerStatus(ctx, &contract.LeaguerStatusRequest{
//		Status: contract.StatusShipped, OrderID: "1000531505", LineID: "00000208117601",
//		Cards: []contract.Card{{Code: code, Password: password}},
//	})
//	switch {
//	case errors.Is(err, contract.RefundedByTime):
//		// too late: the money goes back, void the cards
//	case err == nil && result.Before != nil:
//		// shipped before, by a call whose answer was lost, perhaps
//	}
//
// # The reverse call
//
// A merchant's ERP hears Qimen's reverse call by a [Receiver], an [net/http.Handler]:
//
//	http.Handle("/spi", &client.Receiver{
//		Secrets: map[string]contract.Secret{appKey: secret},
//		OrderIntercept: func(ctx context.Context, r *contract.OrderInterceptRequest) error {
//			if shipped(r.Order.ID) {
//				return contract.InterceptShipped
//			}
//			return lock(ctx, r.Order.ID, r.Order.SubOrders)
//		},
//	})
//
// [Client.OrderIntercept] makes the call, as the platform does. A client that may have
// locked the sub orders and did not hear it gets [ErrUnknown]: no refusal.
//
// # What is tried again
//
// A call is tried again only where the contract says that this helps:
//
//   - what the vendor's table marks as retry, such as isp.remote-service-error or a
//     ban (code 7), for which the client waits as long as the platform says, up to
//     [Retry.MaxWait];
//   - what never left this machine, such as a refused connection;
//   - what may have arrived, such as a timeout, only where a repeat is known as one:
//     event.produce, events.produce, the callback of intercepts and Suning's calls
//     always, event.emit when EventID is given, order.self.intercept never. Each try has a time and a signature of its own.
//     An answer that is none of the platform's is not: it will not get better.
//     When the repeat is refused because the platform has the event already, the
//     first try had arrived: the call has succeeded.
//
// Contexts end a call at any time, waits included. The zero [Retry] is what the
// vendor's Java SDK does: three times more, 100 ms apart.
//
// # Testing
//
// Package ordergatetest starts a gateway inside a test; see its example.
package client
