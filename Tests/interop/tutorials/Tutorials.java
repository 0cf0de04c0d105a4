// The patterns of RabbitMQ's tutorials with its Java client, each in one program that ends by itself; `run` compares
// what it prints.

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Tutorials {
    static final List<String> KEYS = List.of(
        "quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox", "lazy.pink.rabbit", "quick.brown.fox",
        "orange", "quick.orange.new.rabbit", "lazy.orange.new.rabbit");

    interface Pattern {
        void run(Connection connection, Channel channel) throws Exception;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody(), StandardCharsets.UTF_8);
    }

    static <T> T next(BlockingQueue<T> queue) throws Exception {
        T found = queue.poll(10, TimeUnit.SECONDS);
        if (found == null) throw new Exception("nothing came for ten seconds");
        return found;
    }

    static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck) throws Exception {
        BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, autoAck, (tag, delivery) -> deliveries.add(delivery), tag -> {});
        return deliveries;
    }

    /** The bodies of the next messages of a queue. */
    static String take(Channel channel, String queue, int count) throws Exception {
        BlockingQueue<Delivery> deliveries = consume(channel, queue, true);
        List<String> bodies = new ArrayList<>();
        while (bodies.size() < count) bodies.add(text(next(deliveries)));
        return String.join(" ", bodies);
    }

    /** A queue of its own for this connection, bound with these keys. */
    static String subscribe(Channel channel, String exchange, String... keys) throws Exception {
        String queue = channel.queueDeclare().getQueue();
        for (String key : keys) channel.queueBind(queue, exchange, key);
        return queue;
    }

    static void hello(Connection connection, Channel channel) throws Exception {
        channel.queueDeclare("tutorial-hello", false, false, false, null);
        channel.basicPublish("", "tutorial-hello", null, bytes("Hello World!"));
        System.out.println("1 got " + take(channel, "tutorial-hello", 1));
        channel.queueDelete("tutorial-hello");
    }

    static void workQueue(Connection connection, Channel channel) throws Exception {
        channel.queueDeclare("tutorial-tasks", true, false, false, Map.of("x-queue-type", "quorum"));
        record Work(int worker, Channel channel, Delivery task) {}
        BlockingQueue<Work> taken = new LinkedBlockingQueue<>();
        for (int number = 0; number < 2; number++) {
            int worker = number;
            Channel its = connection.createChannel();
            its.basicQos(1);
            its.basicConsume("tutorial-tasks", false, (tag, task) -> taken.add(new Work(worker, its, task)), tag -> {});
        }
        for (int number = 0; number < 6; number++)
            channel.basicPublish("", "tutorial-tasks", MessageProperties.PERSISTENT_TEXT_PLAIN, bytes("task " + number));
        // With a prefetch of 1, the first task waits until the second has gone elsewhere.
        Set<Integer> workers = new HashSet<>();
        Set<String> done = new HashSet<>();
        List<Work> held = new ArrayList<>();
        while (done.size() < 6) {
            held.add(next(taken));
            workers.add(held.get(held.size() - 1).worker());
            if (workers.size() < 2) continue;
            for (Work each : held) {
                done.add(text(each.task()));
                each.channel().basicAck(each.task().getEnvelope().getDeliveryTag(), false);
            }
            held.clear();
        }
        System.out.println("2 did " + done.size() + " tasks with " + workers.size() + " workers");
        channel.queueDelete("tutorial-tasks");
    }

    static void publishSubscribe(Connection connection, Channel channel) throws Exception {
        channel.exchangeDeclare("tutorial-logs", "fanout", false, true, null);
        String first = subscribe(channel, "tutorial-logs", ""), second = subscribe(channel, "tutorial-logs", "");
        channel.basicPublish("tutorial-logs", "", null, bytes("info: Hello World!"));
        System.out.println("3 got " + take(channel, first, 1) + " and " + take(channel, second, 1));
    }

    static void routing(Connection connection, Channel channel) throws Exception {
        channel.exchangeDeclare("tutorial-direct", "direct", false, true, null);
        String errors = subscribe(channel, "tutorial-direct", "error");
        String everything = subscribe(channel, "tutorial-direct", "info", "warning", "error");
        for (String severity : List.of("info", "warning", "error"))
            channel.basicPublish("tutorial-direct", severity, null, bytes(severity));
        System.out.println("4 errors: " + take(channel, errors, 1) + "; all: " + take(channel, everything, 3));
    }

    static void topics(Connection connection, Channel channel) throws Exception {
        channel.exchangeDeclare("tutorial-topics", "topic", false, true, null);
        String orange = subscribe(channel, "tutorial-topics", "*.orange.*");
        String others = subscribe(channel, "tutorial-topics", "*.*.rabbit", "lazy.#");
        for (String key : KEYS) channel.basicPublish("tutorial-topics", key, null, bytes(key));
        System.out.println("5 orange: " + take(channel, orange, 3));
        System.out.println("5 rabbits and lazy ones: " + take(channel, others, 5));
    }

    static int fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    static void rpc(Connection connection, Channel channel) throws Exception {
        channel.queueDeclare("tutorial-rpc", false, false, false, null);
        Channel server = connection.createChannel();
        server.basicQos(1);
        server.basicConsume("tutorial-rpc", false, (tag, request) -> {
            BasicProperties asked = request.getProperties();
            BasicProperties answer = new BasicProperties.Builder().correlationId(asked.getCorrelationId()).build();
            server.basicPublish("", asked.getReplyTo(), answer, bytes("" + fib(Integer.parseInt(text(request)))));
            server.basicAck(request.getEnvelope().getDeliveryTag(), false);
        }, tag -> {});
        String callback = channel.queueDeclare().getQueue();
        BlockingQueue<Delivery> answers = consume(channel, callback, true);
        channel.basicPublish(
            "", "tutorial-rpc", new BasicProperties.Builder().correlationId("asked").replyTo(callback).build(), bytes("20"));
        Delivery answer = next(answers);
        if (answer.getProperties().getCorrelationId().equals("asked")) System.out.println("6 fib(20) is " + text(answer));
        channel.queueDelete("tutorial-rpc");
    }

    static void confirms(Connection connection, Channel channel) throws Exception {
        channel.confirmSelect();
        String queue = channel.queueDeclare().getQueue();
        for (int number = 0; number < 50; number++) channel.basicPublish("", queue, null, bytes("" + number));
        channel.waitForConfirmsOrDie(10_000);
        System.out.println("7 confirmed " + channel.messageCount(queue));
    }

    public static void main(String[] words) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(System.getenv("RABBITMQ_HOST"));
        List<Pattern> patterns = List.of(
            Tutorials::hello, Tutorials::workQueue, Tutorials::publishSubscribe, Tutorials::routing, Tutorials::topics, Tutorials::rpc,
            Tutorials::confirms);
        for (Pattern pattern : patterns) {
            try (Connection connection = factory.newConnection()) {
                pattern.run(connection, connection.createChannel());
            }
        }
    }
}
