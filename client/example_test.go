package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

// gateway stands for https://eco.taobao.com in the examples.
func gateway() *ordergatetest.Gateway {
	g, err := ordergatetest.New()
	if err != nil {
		log.Fatal(err)
	}
	return g
}

func Example() {
	g := gateway()
	defer g.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	c := &client.Client{URL: g.URL, AppKey: "12345678", Secret: "helloworld", Session: "test"}
	reply, err := c.EventProduce(ctx, &contract.EventProduceRequest{
		Status: contract.StatusTransfer, OrderID: "2895732958732", ERPOrderID: "SO-1", SubOrders: "2895732958733",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Success)
	// Output: true
}

// What the platform refuses is found by its row; no text is compared.
func ExampleAdvice() {
	g := gateway()
	defer g.Close()
	event := &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "1"}
	for range 2 {
		_, err := g.Client().EventProduce(context.Background(), event)
		fmt.Println(err == nil, errors.Is(err, contract.AlreadyBackflow), client.Advice(err))
	}
	_, err := g.Client().EventProduce(context.Background(), &contract.EventProduceRequest{Status: "out", OrderID: "1"})
	fmt.Println(errors.Is(err, contract.TopicEmpty), client.Advice(err))
	// Output:
	// true false done
	// false true done
	// true fix
}

func ExampleClient_EventsProduce() {
	g := gateway()
	defer g.Close()
	reply, err := g.Client().EventsProduce(context.Background(),
		&contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "1"},
		&contract.EventProduceRequest{Status: contract.StatusTransfer},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range reply.Results {
		if refused := result.Refused(); refused != nil {
			fmt.Println(refused.SubCode, refused.SubText)
			continue
		}
		fmt.Println("accepted")
	}
	// Output:
	// accepted
	// isv.invalid-paramter parameter required
}

func ExampleClient_EventEmit() {
	g := gateway()
	defer g.Close()
	c := g.Client()
	_, err := c.EventEmit(context.Background(), &contract.EventEmitRequest{
		EventID: "e-1", TenantCode: "tenant", WorkOrderID: "w-1", WorkOrderStatus: "1", Text: "退款",
	})
	fmt.Println(err)
	_, err = c.EventEmit(context.Background(), &contract.EventEmitRequest{
		EventID: "e-1", TenantCode: "tenant", WorkOrderID: "w-1", WorkOrderStatus: "2", Text: "退款",
	})
	fmt.Println(errors.Is(err, contract.EventIDTaken))
	// Output:
	// <nil>
	// true
}
