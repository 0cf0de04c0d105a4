# A plugin of pytest: amqpstorm's tests tidy up through RabbitMQ's management API. Here they do it over AMQP.

import os

from amqpstorm import Connection
from amqpstorm.management.exchange import Exchange
from amqpstorm.management.queue import Queue


def over_amqp(delete):
    def run(_, name, *args, **options):
        with Connection(os.environ["AMQP_HOST"], "guest", "guest") as connection:
            with connection.channel() as channel:
                delete(channel)(name)

    return run


Queue.delete = over_amqp(lambda channel: channel.queue.delete)
Exchange.delete = over_amqp(lambda channel: channel.exchange.delete)
