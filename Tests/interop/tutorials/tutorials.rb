# The patterns of RabbitMQ's tutorials with bunny, each in one program that ends by itself; `run` compares what it
# prints.

require "bunny"
require "securerandom"
require "timeout"

KEYS = %w[
  quick.orange.rabbit lazy.orange.elephant quick.orange.fox lazy.brown.fox lazy.pink.rabbit quick.brown.fox
  orange quick.orange.new.rabbit lazy.orange.new.rabbit
]

# The bodies of the next `count` messages of a queue.
def take(queue, count)
  bodies = Queue.new
  consumer = queue.subscribe { |_, _, body| bodies << body }
  found = Array.new(count) { Timeout.timeout(10) { bodies.pop } }
  consumer.cancel
  found
end

# A queue of its own for this connection, bound with these keys.
def subscribe(channel, exchange, keys)
  queue = channel.queue("", exclusive: true)
  keys.each { |key| queue.bind(exchange, routing_key: key) }
  queue
end

def hello(channel)
  queue = channel.queue("tutorial-hello")
  channel.default_exchange.publish("Hello World!", routing_key: queue.name)
  puts "1 got #{take(queue, 1).first}"
  queue.delete
end

def work_queue(channel)
  arguments = { "x-queue-type" => "quorum" }
  tasks = channel.queue("tutorial-tasks", durable: true, arguments: arguments)
  took = Queue.new
  2.times do |worker|
    worker_channel = channel.connection.create_channel
    worker_channel.prefetch(1)
    worker_channel.queue("tutorial-tasks", durable: true, arguments: arguments).subscribe(manual_ack: true) do |delivery, _, body|
      took << [worker, body, -> { worker_channel.ack(delivery.delivery_tag) }]
    end
  end
  6.times { |number| tasks.publish("task #{number}", persistent: true) }
  # With a prefetch of 1, the first task waits until the second has gone elsewhere.
  all = Array.new(2) { Timeout.timeout(10) { took.pop } }
  all.each { |task| task[2].call }
  4.times do
    all << Timeout.timeout(10) { took.pop }
    all.last[2].call
  end
  puts "2 did #{all.map { |task| task[1] }.uniq.size} tasks with #{all.map(&:first).uniq.size} workers"
  tasks.delete
end

def publish_subscribe(channel)
  logs = channel.fanout("tutorial-logs", auto_delete: true)
  queues = Array.new(2) { subscribe(channel, logs, [""]) }
  logs.publish("info: Hello World!")
  puts "3 got #{queues.map { |queue| take(queue, 1).first }.join(" and ")}"
end

def routing(channel)
  logs = channel.direct("tutorial-direct", auto_delete: true)
  errors = subscribe(channel, logs, %w[error])
  everything = subscribe(channel, logs, %w[info warning error])
  %w[info warning error].each { |severity| logs.publish(severity, routing_key: severity) }
  puts "4 errors: #{take(errors, 1).join(" ")}; all: #{take(everything, 3).join(" ")}"
end

def topics(channel)
  logs = channel.topic("tutorial-topics", auto_delete: true)
  orange = subscribe(channel, logs, %w[*.orange.*])
  others = subscribe(channel, logs, %w[*.*.rabbit lazy.#])
  KEYS.each { |key| logs.publish(key, routing_key: key) }
  puts "5 orange: #{take(orange, 3).join(" ")}"
  puts "5 rabbits and lazy ones: #{take(others, 5).join(" ")}"
end

def fib(n)
  n < 2 ? n : fib(n - 1) + fib(n - 2)
end

def rpc(channel)
  server = channel.connection.create_channel
  server.prefetch(1)
  requests = server.queue("tutorial-rpc")
  requests.subscribe(manual_ack: true) do |delivery, properties, body|
    server.default_exchange.publish(
      fib(body.to_i).to_s, routing_key: properties.reply_to, correlation_id: properties.correlation_id
    )
    server.ack(delivery.delivery_tag)
  end
  answers = Queue.new
  asked = SecureRandom.uuid
  callback = channel.queue("", exclusive: true)
  callback.subscribe { |_, properties, body| answers << body if properties.correlation_id == asked }
  channel.default_exchange.publish("20", routing_key: "tutorial-rpc", correlation_id: asked, reply_to: callback.name)
  puts "6 fib(20) is #{Timeout.timeout(10) { answers.pop }}"
  requests.delete
end

def confirms(channel)
  channel.confirm_select
  queue = channel.queue("", exclusive: true)
  50.times { |number| queue.publish(number.to_s) }
  puts "7 confirmed #{channel.wait_for_confirms ? queue.message_count : 0}"
end

%i[hello work_queue publish_subscribe routing topics rpc confirms].each do |pattern|
  connection = Bunny.new(host: ENV.fetch("RABBITMQ_HOST"))
  connection.start
  method(pattern).call(connection.create_channel)
  connection.close
end
