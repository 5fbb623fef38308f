"""Runs the paho code of docs/clients.md for a test. The argument: where everything is, a client id, a
topic, and the identity tokens to use one after the other (the last one again and again)."""

import json
import os
import sys
import threading
from urllib.parse import urlparse

from ticketgate_client import TicketgateClient

plan = json.loads(sys.argv[1])
broker = urlparse(plan["broker"])
connections = 0


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def identity_token():
    tell("identity_token")
    tokens = plan["identityTokens"]
    return tokens.pop(0) if len(tokens) > 1 else tokens[0]


def when_connected(client):
    global connections
    connections += 1
    tell("connected")
    client.subscribe(plan["topic"], qos=1)
    client.publish(plan["topic"], f"hello {connections}", qos=1)


def watch_input():
    for _ in sys.stdin:
        client.stop()
        return
    os._exit(0)


client = TicketgateClient(
    plan["ticketgate"], plan["organization"], identity_token, plan["clientId"], when_connected
)
client.on_message = lambda _client, _userdata, message: tell(
    "message", payload=message.payload.decode()
)
threading.Thread(target=watch_input, daemon=True).start()
client.stay_connected(broker.hostname, broker.port)
tell("ended")
