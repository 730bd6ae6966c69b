"""MQTT comes in here and nowhere else: arrivals and their acknowledgement tokens out, PUBACKs back.

    session = Session("127.0.0.1", 1883, "glomska-1", ["glomska/+/+/readings"], clock=SystemClock(), on_state=print)
    session.connect()
    while delivery := session.receive(1.0):
        store(delivery.arrivals)
        session.acknowledge(delivery.generation, delivery.tokens)
    session.close()

`stream` decodes bytes and does no I/O, `tls` is a socket that encrypts, `connection` is one connection from dialling to
hanging up, `legacy` the same for MQTT 3.1.1, `session` outlives connections, `leaving` is one that goes away for good,
`many` is one session for each controller, `retained` removes what a broker retains of the erased.
This package acknowledges nothing by itself: whoever made a message durable does.
"""

from gateway.transport.ingest.leaving import Leaving
from gateway.transport.ingest.many import Sessions
from gateway.transport.ingest.retained import Retained
from gateway.transport.ingest.session import CURTAILED, Counters, Delivery, Session
from gateway.transport.ingest.tls import Tls

__all__ = ["CURTAILED", "Counters", "Delivery", "Leaving", "Retained", "Session", "Sessions", "Tls"]
