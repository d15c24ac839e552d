"""A stand-in for QStash: a program that speaks its REST API and delivers as it does.

Left out: URL groups, the administration of queues (a queue's name is kept, its order is not),
redaction, and filters of bulk actions.
"""

from dev.qstash.broker import DEV_CURRENT_KEY, DEV_NEXT_KEY, DEV_TOKEN, Broker
from dev.qstash.clock import Clock
from dev.qstash.faults import Drop, Hang, Refuse, Stage
from dev.qstash.message import DeadLetter, Delivery, Message, State

__all__ = [
    "DEV_CURRENT_KEY",
    "DEV_NEXT_KEY",
    "DEV_TOKEN",
    "Broker",
    "Clock",
    "DeadLetter",
    "Delivery",
    "Drop",
    "Hang",
    "Message",
    "Refuse",
    "Stage",
    "State",
]
