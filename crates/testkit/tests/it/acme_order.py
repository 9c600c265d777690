"""A client of ACME that asks for what Debian's certbot cannot: a new account, and an order with more members.

usage: acme_order.py DIRECTORY MEMBERS, with more members of newOrder as JSON. Each line says one answer as JSON:
newOrder's, and where it made an order, that order's own."""

import json
import sys

import josepy
from acme import client, messages
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives.asymmetric import rsa

directory, members = sys.argv[1], json.loads(sys.argv[2])
key = josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048, default_backend()))
network = client.ClientNetwork(key)
acme = client.ClientV2(client.ClientV2.get_directory(directory, network), network)
acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))


class Payload:
    def __init__(self, text):
        self.text = text

    def json_dumps(self, **_):
        return self.text


def signed(url, text):
    # `_get_nonce` takes what an earlier answer brought, errors too.
    nonce = network._get_nonce(url, acme.directory["newNonce"])
    jws = network._wrap_in_jws(Payload(text) if text else None, nonce, url)
    answer = network._send_request("POST", url, data=jws, headers={"Content-Type": "application/jose+json"})
    if "Replay-Nonce" in answer.headers:
        network._add_nonce(answer)
    print(json.dumps({"status": answer.status_code, "headers": dict(answer.headers), "body": answer.json()}))
    return answer


order = {"identifiers": [{"type": "dns", "value": "a.test"}], **members}
answer = signed(acme.directory["newOrder"], json.dumps(order))
if answer.status_code == 201:
    signed(answer.headers["Location"], "")
