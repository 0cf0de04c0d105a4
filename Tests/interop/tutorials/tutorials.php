<?php
// The patterns of RabbitMQ's tutorials with php-amqplib, each in one program that ends by itself; `run` compares what
// it prints.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const KEYS = [
    'quick.orange.rabbit', 'lazy.orange.elephant', 'quick.orange.fox', 'lazy.brown.fox', 'lazy.pink.rabbit', 'quick.brown.fox',
    'orange', 'quick.orange.new.rabbit', 'lazy.orange.new.rabbit',
];

/** The bodies of the next messages of a queue. */
function take(AMQPChannel $channel, string $queue, int $count): array
{
    $bodies = [];
    $tag = $channel->basic_consume($queue, '', false, true, false, false, function (AMQPMessage $message) use (&$bodies) {
        $bodies[] = $message->getBody();
    });
    while (count($bodies) < $count) {
        $channel->wait(null, false, 10);
    }
    $channel->basic_cancel($tag);
    return $bodies;
}

/** A queue of its own for this connection, bound with these keys. */
function subscribe(AMQPChannel $channel, string $exchange, array $keys): string
{
    [$queue] = $channel->queue_declare('', false, false, true, false);
    foreach ($keys as $key) {
        $channel->queue_bind($queue, $exchange, $key);
    }
    return $queue;
}

function hello(AMQPChannel $channel): void
{
    $channel->queue_declare('tutorial-hello', false, false, false, false);
    $channel->basic_publish(new AMQPMessage('Hello World!'), '', 'tutorial-hello');
    echo '1 got ', take($channel, 'tutorial-hello', 1)[0], "\n";
    $channel->queue_delete('tutorial-hello');
}

function work_queue(AMQPChannel $channel): void
{
    $channel->queue_declare('tutorial-tasks', false, true, false, false, false, new AMQPTable(['x-queue-type' => 'quorum']));
    $held = $workers = $done = [];
    foreach ([0, 1] as $worker) {
        $workerChannel = $channel->getConnection()->channel();
        $workerChannel->basic_qos(0, 1, false);
        $onTask = function (AMQPMessage $message) use ($worker, &$held, &$workers, &$done) {
            $workers[$worker] = true;
            $held[] = $message;
            while (count($workers) === 2 && $held) { // with a prefetch of 1, the first task waits until the second has gone elsewhere
                $task = array_pop($held);
                $done[$task->getBody()] = true;
                $task->ack();
            }
        };
        $workerChannel->basic_consume('tutorial-tasks', '', false, false, false, false, $onTask);
    }
    for ($number = 0; $number < 6; $number++) {
        $task = new AMQPMessage("task $number", ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT]);
        $channel->basic_publish($task, '', 'tutorial-tasks');
    }
    $until = microtime(true) + 10;
    while (count($done) < 6 && microtime(true) < $until) {
        foreach ($channel->getConnection()->channels as $each) {
            if ($each instanceof AMQPChannel) {
                $each->wait(null, true);
            }
        }
    }
    printf("2 did %d tasks with %d workers\n", count($done), count($workers));
    $channel->queue_delete('tutorial-tasks');
}

function publish_subscribe(AMQPChannel $channel): void
{
    $channel->exchange_declare('tutorial-logs', 'fanout', false, false, true);
    $queues = [subscribe($channel, 'tutorial-logs', ['']), subscribe($channel, 'tutorial-logs', [''])];
    $channel->basic_publish(new AMQPMessage('info: Hello World!'), 'tutorial-logs');
    echo '3 got ', take($channel, $queues[0], 1)[0], ' and ', take($channel, $queues[1], 1)[0], "\n";
}

function routing(AMQPChannel $channel): void
{
    $channel->exchange_declare('tutorial-direct', 'direct', false, false, true);
    $errors = subscribe($channel, 'tutorial-direct', ['error']);
    $everything = subscribe($channel, 'tutorial-direct', ['info', 'warning', 'error']);
    foreach (['info', 'warning', 'error'] as $severity) {
        $channel->basic_publish(new AMQPMessage($severity), 'tutorial-direct', $severity);
    }
    echo '4 errors: ', implode(' ', take($channel, $errors, 1)), '; all: ', implode(' ', take($channel, $everything, 3)), "\n";
}

function topics(AMQPChannel $channel): void
{
    $channel->exchange_declare('tutorial-topics', 'topic', false, false, true);
    $orange = subscribe($channel, 'tutorial-topics', ['*.orange.*']);
    $others = subscribe($channel, 'tutorial-topics', ['*.*.rabbit', 'lazy.#']);
    foreach (KEYS as $key) {
        $channel->basic_publish(new AMQPMessage($key), 'tutorial-topics', $key);
    }
    echo '5 orange: ', implode(' ', take($channel, $orange, 3)), "\n";
    echo '5 rabbits and lazy ones: ', implode(' ', take($channel, $others, 5)), "\n";
}

function fib(int $n): int
{
    return $n < 2 ? $n : fib($n - 1) + fib($n - 2);
}

function rpc(AMQPChannel $channel): void
{
    $channel->queue_declare('tutorial-rpc', false, false, false, false);
    $server = $channel->getConnection()->channel();
    $server->basic_qos(0, 1, false);
    $onRequest = function (AMQPMessage $request) use ($server) {
        $answer = new AMQPMessage((string) fib((int) $request->getBody()), ['correlation_id' => $request->get('correlation_id')]);
        $server->basic_publish($answer, '', $request->get('reply_to'));
        $request->ack();
    };
    $server->basic_consume('tutorial-rpc', '', false, false, false, false, $onRequest);
    [$callback] = $channel->queue_declare('', false, false, true, false);
    $asked = uniqid();
    $answer = null;
    $channel->basic_consume($callback, '', false, true, false, false, function (AMQPMessage $message) use (&$answer, $asked) {
        $answer = $message->get('correlation_id') === $asked ? $message->getBody() : $answer;
    });
    $properties = ['correlation_id' => $asked, 'reply_to' => $callback];
    $channel->basic_publish(new AMQPMessage('20', $properties), '', 'tutorial-rpc');
    $server->wait(null, false, 10);
    $channel->wait(null, false, 10);
    echo "6 fib(20) is $answer\n";
    $channel->queue_delete('tutorial-rpc');
}

function confirms(AMQPChannel $channel): void
{
    [$queue] = $channel->queue_declare('', false, false, true, false);
    $confirmed = 0;
    $channel->set_ack_handler(function () use (&$confirmed) {
        $confirmed++;
    });
    $channel->confirm_select();
    for ($number = 0; $number < 50; $number++) {
        $channel->basic_publish(new AMQPMessage((string) $number), '', $queue);
    }
    $channel->wait_for_pending_acks(10);
    echo "7 confirmed $confirmed\n";
}

foreach (['hello', 'work_queue', 'publish_subscribe', 'routing', 'topics', 'rpc', 'confirms'] as $pattern) {
    $connection = new AMQPStreamConnection(getenv('RABBITMQ_HOST'), 5672, 'guest', 'guest');
    $pattern($connection->channel());
    $connection->close();
}
