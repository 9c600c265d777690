"""Realtime sessions with OpenAI's own Python client and with `websockets`, whose handshakes and frames are nobody's here.

Run as tests/sdk/python/test_openai.py says.

PORTICO_REALTIME_MODEL    a model that transcribes while it is spoken to; without it all of this is skipped
"""
import base64
import json
import os
import unittest

import openai
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

URL = os.environ["PORTICO_URL"].rstrip("/")
MODEL = os.environ.get("PORTICO_REALTIME_MODEL")
SOCKET = f"ws{URL.removeprefix('http')}/v1/realtime?model={MODEL}"


def audio(seconds):
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\0\1" * 16000 * seconds).decode()}


# vLLM's events: an update that names the model, and a commit that ends the utterance.
UPDATE = {"type": "session.update", "model": MODEL}
COMMIT = {"type": "input_audio_buffer.commit", "final": True}


@unittest.skipUnless(MODEL, "PORTICO_REALTIME_MODEL is not set")
class OpenAI(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("PORTICO_KEY", "none"), max_retries=0)
        self.addCleanup(self.client.close)

    def utterance(self, connection, seconds=1):
        for event in (UPDATE, audio(seconds), COMMIT):
            connection.send(event)
        text = ""
        while True:
            event = connection.recv()
            if event.type == "transcription.done":
                self.assertEqual(event.text, text)
                return text
            self.assertEqual(event.type, "transcription.delta")
            text += event.delta

    def test_a_session(self):
        with self.client.realtime.connect(model=MODEL) as connection:
            self.assertEqual(connection.recv().type, "session.created")
            self.assertTrue(self.utterance(connection))
            self.assertTrue(self.utterance(connection, seconds=60))

    def test_what_is_refused_is_an_event(self):
        with self.client.realtime.connect(model=MODEL) as connection:
            connection.recv()
            connection.session.update(session={"type": "realtime", "instructions": "Talk like a pirate."})
            event = connection.recv()
            self.assertEqual((event.type, event.error.code, event.error.param), ("error", "invalid_value", "session"))
            self.assertTrue(self.utterance(connection))

    def test_an_unknown_model(self):
        with self.assertRaises(InvalidStatus) as raised:
            self.client.realtime.connect(model="nobody").enter()
        self.assertEqual(raised.exception.response.status_code, 404)


@unittest.skipUnless(MODEL, "PORTICO_REALTIME_MODEL is not set")
class WebSockets(unittest.TestCase):
    def test_fragments_pings_and_a_farewell(self):
        # Compression is offered, as it always is, and not taken.
        with connect(SOCKET) as socket:
            self.assertEqual(socket.protocol.extensions, [])
            self.assertEqual(json.loads(socket.recv())["type"], "session.created")
            socket.send(json.dumps(UPDATE))
            text = json.dumps(audio(2))
            socket.send(text[at:at + 10_000] for at in range(0, len(text), 10_000))
            self.assertTrue(socket.ping().wait(10))
            socket.send(json.dumps(COMMIT))
            event = {}
            while event.get("type") != "transcription.done":
                event = json.loads(socket.recv())
            self.assertTrue(event["text"])
            socket.close(code=1000, reason="bye")
            with self.assertRaises(ConnectionClosedOK):
                socket.recv()
            self.assertEqual(socket.close_code, 1000)

    def test_a_subprotocol(self):
        with connect(SOCKET, subprotocols=["openai-insecure-api-key.none", "realtime"]) as socket:
            self.assertEqual(socket.subprotocol, "realtime")

    def test_a_page_of_another_site(self):
        with self.assertRaises(InvalidStatus) as raised:
            connect(SOCKET, origin="https://evil.example")
        self.assertEqual(raised.exception.response.status_code, 403)
