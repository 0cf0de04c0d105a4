// The patterns of RabbitMQ's tutorials with amqp091-go, each in one program that ends by itself; `run` compares what
// it prints.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var keys = []string{
	"quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox", "lazy.pink.rabbit", "quick.brown.fox",
	"orange", "quick.orange.new.rabbit", "lazy.orange.new.rabbit",
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func next(deliveries <-chan amqp.Delivery) amqp.Delivery {
	select {
	case delivery, open := <-deliveries:
		if !open {
			log.Panic("the channel was closed")
		}
		return delivery
	case <-time.After(10 * time.Second):
		log.Panic("nothing came for ten seconds")
	}
	panic("unreachable")
}

func consume(channel *amqp.Channel, queue string, autoAck bool) <-chan amqp.Delivery {
	return must(channel.Consume(queue, "", autoAck, false, false, false, nil))
}

// take returns the bodies of the next messages of a queue.
func take(channel *amqp.Channel, queue string, count int) string {
	deliveries := consume(channel, queue, true)
	var bodies []string
	for len(bodies) < count {
		bodies = append(bodies, string(next(deliveries).Body))
	}
	return strings.Join(bodies, " ")
}

func publish(channel *amqp.Channel, exchange, key string, message amqp.Publishing) {
	check(channel.PublishWithContext(context.Background(), exchange, key, false, false, message))
}

func text(body string) amqp.Publishing {
	return amqp.Publishing{ContentType: "text/plain", Body: []byte(body)}
}

// subscribe returns a queue of its own for this connection, bound with these keys.
func subscribe(channel *amqp.Channel, exchange string, keys ...string) string {
	queue := must(channel.QueueDeclare("", false, false, true, false, nil))
	for _, key := range keys {
		check(channel.QueueBind(queue.Name, key, exchange, false, nil))
	}
	return queue.Name
}

func hello(_ *amqp.Connection, channel *amqp.Channel) {
	queue := must(channel.QueueDeclare("tutorial-hello", false, false, false, false, nil))
	publish(channel, "", queue.Name, text("Hello World!"))
	fmt.Println("1 got", take(channel, queue.Name, 1))
	must(channel.QueueDelete(queue.Name, false, false, false))
}

func workQueue(connection *amqp.Connection, channel *amqp.Channel) {
	arguments := amqp.Table{"x-queue-type": "quorum"}
	queue := must(channel.QueueDeclare("tutorial-tasks", true, false, false, false, arguments))
	type work struct {
		worker int
		task   amqp.Delivery
	}
	taken := make(chan work)
	for worker := 0; worker < 2; worker++ {
		worker, channel := worker, must(connection.Channel())
		check(channel.Qos(1, 0, false))
		tasks := consume(channel, queue.Name, false)
		go func() {
			for task := range tasks {
				taken <- work{worker, task}
			}
		}()
	}
	for number := 0; number < 6; number++ {
		task := text(fmt.Sprintf("task %d", number))
		task.DeliveryMode = amqp.Persistent
		publish(channel, "", queue.Name, task)
	}
	// With a prefetch of 1, the first task waits until the second has gone elsewhere.
	workers, done, held := map[int]bool{}, map[string]bool{}, []amqp.Delivery{}
	for len(done) < 6 {
		next := <-taken
		workers[next.worker] = true
		if held = append(held, next.task); len(workers) == 2 {
			for _, task := range held {
				done[string(task.Body)] = true
				check(task.Ack(false))
			}
			held = nil
		}
	}
	fmt.Printf("2 did %d tasks with %d workers\n", len(done), len(workers))
	must(channel.QueueDelete(queue.Name, false, false, false))
}

func publishSubscribe(_ *amqp.Connection, channel *amqp.Channel) {
	check(channel.ExchangeDeclare("tutorial-logs", "fanout", false, true, false, false, nil))
	first, second := subscribe(channel, "tutorial-logs", ""), subscribe(channel, "tutorial-logs", "")
	publish(channel, "tutorial-logs", "", text("info: Hello World!"))
	fmt.Println("3 got", take(channel, first, 1), "and", take(channel, second, 1))
}

func routing(_ *amqp.Connection, channel *amqp.Channel) {
	check(channel.ExchangeDeclare("tutorial-direct", "direct", false, true, false, false, nil))
	errors := subscribe(channel, "tutorial-direct", "error")
	everything := subscribe(channel, "tutorial-direct", "info", "warning", "error")
	for _, severity := range []string{"info", "warning", "error"} {
		publish(channel, "tutorial-direct", severity, text(severity))
	}
	fmt.Println("4 errors: " + take(channel, errors, 1) + "; all: " + take(channel, everything, 3))
}

func topics(_ *amqp.Connection, channel *amqp.Channel) {
	check(channel.ExchangeDeclare("tutorial-topics", "topic", false, true, false, false, nil))
	orange := subscribe(channel, "tutorial-topics", "*.orange.*")
	others := subscribe(channel, "tutorial-topics", "*.*.rabbit", "lazy.#")
	for _, key := range keys {
		publish(channel, "tutorial-topics", key, text(key))
	}
	fmt.Println("5 orange:", take(channel, orange, 3))
	fmt.Println("5 rabbits and lazy ones:", take(channel, others, 5))
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func rpc(connection *amqp.Connection, channel *amqp.Channel) {
	queue := must(channel.QueueDeclare("tutorial-rpc", false, false, false, false, nil))
	server := must(connection.Channel())
	check(server.Qos(1, 0, false))
	requests := consume(server, queue.Name, false)
	go func() {
		for request := range requests {
			answer := text(strconv.Itoa(fib(must(strconv.Atoi(string(request.Body))))))
			answer.CorrelationId = request.CorrelationId
			publish(server, "", request.ReplyTo, answer)
			check(request.Ack(false))
		}
	}()
	callback := subscribe(channel, "")
	answers := consume(channel, callback, true)
	request := text("20")
	request.CorrelationId, request.ReplyTo = "asked", callback
	publish(channel, "", queue.Name, request)
	if answer := next(answers); answer.CorrelationId == request.CorrelationId {
		fmt.Println("6 fib(20) is", string(answer.Body))
	}
	must(channel.QueueDelete(queue.Name, false, false, false))
}

func confirms(_ *amqp.Connection, channel *amqp.Channel) {
	check(channel.Confirm(false))
	queue := subscribe(channel, "")
	var due []*amqp.DeferredConfirmation
	for number := 0; number < 50; number++ {
		confirm := must(channel.PublishWithDeferredConfirmWithContext(
			context.Background(), "", queue, false, false, text(strconv.Itoa(number))))
		due = append(due, confirm)
	}
	confirmed := 0
	for _, confirm := range due {
		if confirm.Wait() {
			confirmed++
		}
	}
	fmt.Println("7 confirmed", confirmed)
}

func main() {
	patterns := []func(*amqp.Connection, *amqp.Channel){hello, workQueue, publishSubscribe, routing, topics, rpc, confirms}
	for _, pattern := range patterns {
		connection := must(amqp.Dial("amqp://guest:guest@" + os.Getenv("RABBITMQ_HOST") + ":5672/"))
		pattern(connection, must(connection.Channel()))
		check(connection.Close())
	}
}
