"""OpenAI's own Python client against a running Portico, as a user of it would write it.

    PORTICO_URL=http://127.0.0.1:8080 PORTICO_TEXT_MODEL=smollm2-135m PORTICO_VISION_MODEL=colour \
        .portico/parts/clients/bin/python3 -m unittest discover -s tests/sdk/python -v

PORTICO_VISION_MODEL      the model that names colours; without it what needs one is skipped
PORTICO_EMBEDDING_MODEL   a model with embeddings; without it they are skipped
PORTICO_TRANSCRIPTION_MODEL   a model that transcribes; without it that is skipped
PORTICO_KEY               an API key, where Portico asks for one
"""
import base64
import os
import struct
import threading
import time
import unittest
import zlib

import openai

URL = os.environ["PORTICO_URL"].rstrip("/") + "/v1"
TEXT = os.environ["PORTICO_TEXT_MODEL"]
VISION = os.environ.get("PORTICO_VISION_MODEL")
EMBEDDING = os.environ.get("PORTICO_EMBEDDING_MODEL")
TRANSCRIPTION = os.environ.get("PORTICO_TRANSCRIPTION_MODEL")
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]


def png(colour, width=96, height=64):
    """A PNG of one colour."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def image(colour):
    url = "data:image/png;base64," + base64.b64encode(png(colour)).decode()
    return {"type": "image_url", "image_url": {"url": url}}


RED, BLUE = image((220, 20, 20)), image((30, 30, 220))


class OpenAI(unittest.TestCase):
    def setUp(self):
        # No retries: an error that is retried away would not be seen.
        self.client = openai.OpenAI(base_url=URL, api_key=os.environ.get("PORTICO_KEY", "none"), max_retries=0, timeout=60)
        self.addCleanup(self.client.close)

    def chat(self, **more):
        return self.client.chat.completions.create(**{"model": TEXT, "messages": MESSAGES, "max_tokens": 16, **more})


class Models(OpenAI):
    def test_list(self):
        names = [model.id for model in self.client.models.list()]
        for name in filter(None, (TEXT, VISION, EMBEDDING)):
            self.assertIn(name, names)
        self.assertEqual(len(names), len(set(names)))

    def test_retrieve(self):
        model = self.client.models.retrieve(TEXT)
        self.assertEqual((model.id, model.object), (TEXT, "model"))

    def test_retrieve_unknown(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")


class Chat(OpenAI):
    def test_whole(self):
        answer = self.chat()
        self.assertEqual((answer.object, answer.model), ("chat.completion", TEXT))
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertLessEqual(answer.usage.completion_tokens, 16)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_stream_without_usage(self):
        chunks = list(self.chat(stream=True))
        self.assertTrue("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
        self.assertEqual([chunk.usage for chunk in chunks if chunk.usage is not None], [])
        self.assertEqual({chunk.model for chunk in chunks}, {TEXT})
        self.assertIn(chunks[-1].choices[0].finish_reason, ("stop", "length"))

    def test_stream_with_usage(self):
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        with_usage = [chunk for chunk in chunks if chunk.usage is not None]
        self.assertEqual(with_usage, chunks[-1:])
        self.assertEqual(chunks[-1].choices, [])
        self.assertLessEqual(chunks[-1].usage.completion_tokens, 16)
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_stream_and_whole_say_the_same(self):
        same = {"temperature": 0, "seed": 1}
        whole = self.chat(**same).choices[0].message.content
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in self.chat(stream=True, **same))
        self.assertEqual(streamed, whole)

    def test_tokens_come_one_by_one(self):
        """Nothing between the model and here waits for the end, or for a buffer to fill."""
        times = [time.monotonic() for chunk in self.chat(stream=True, max_tokens=100) if chunk.choices[0].delta.content]
        self.assertGreater(len(times), 10)
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        self.assertLess(max(gaps), 0.8 * (times[-1] - times[0]), "the tokens came in one lump")

    def test_event_helper(self):
        # This helper takes an answer that was cut by max_tokens for an error, so it has to end by itself.
        with self.client.chat.completions.stream(model=TEXT, messages=MESSAGES, stop=["."], max_tokens=500) as stream:
            kinds = {event.type for event in stream}
            self.assertTrue(stream.get_final_completion().choices[0].message.content)
        self.assertIn("content.delta", kinds)

    def test_aborted_stream(self):
        stream = self.chat(stream=True, max_tokens=4000)
        for _ in range(3):
            next(stream)
        started = time.monotonic()
        stream.close()
        self.assertLess(time.monotonic() - started, 2)
        self.assertTrue(self.chat(max_tokens=4).choices)

    def test_several_at_once(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append("".join(
            chunk.choices[0].delta.content or "" for chunk in self.chat(stream=True)))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len([answer for answer in answers if answer]), 4)

    def test_text_beyond_ascii(self):
        messages = [{"role": "user", "content": "用中文说你好 🙂"}]
        self.assertTrue(self.chat(messages=messages).choices)

    def test_async_client(self):
        import asyncio

        async def run():
            key = os.environ.get("PORTICO_KEY", "none")
            async with openai.AsyncOpenAI(base_url=URL, api_key=key, max_retries=0, timeout=60) as client:
                stream = await client.chat.completions.create(model=TEXT, messages=MESSAGES, max_tokens=8, stream=True)
                return [chunk.choices[0].delta.content or "" async for chunk in stream]

        self.assertTrue("".join(asyncio.run(run())))


@unittest.skipUnless(VISION, "PORTICO_VISION_MODEL is not set")
class Vision(OpenAI):
    def see(self, *images, **more):
        content = [*images, {"type": "text", "text": "Describe this image."}]
        messages = [{"role": "user", "content": content}]
        return self.client.chat.completions.create(
            **{"model": VISION, "messages": messages, "temperature": 0, "max_tokens": 24, **more})

    def test_one_image(self):
        self.assertEqual(self.see(RED).choices[0].message.content, "The image is red.")

    def test_another_image(self):
        self.assertEqual(self.see(BLUE).choices[0].message.content, "The image is blue.")

    def test_two_images(self):
        self.assertIn("red and blue", self.see(RED, BLUE).choices[0].message.content)

    def test_streamed(self):
        text = "".join(chunk.choices[0].delta.content or "" for chunk in self.see(RED, stream=True))
        self.assertEqual(text, "The image is red.")


class Completions(OpenAI):
    def complete(self, **more):
        return self.client.completions.create(model=TEXT, prompt="Once upon a time", max_tokens=8, **more)

    def test_whole(self):
        answer = self.complete()
        self.assertEqual((answer.object, answer.model), ("text_completion", TEXT))
        self.assertTrue(answer.choices[0].text)
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_streamed(self):
        chunks = list(self.complete(stream=True))
        self.assertTrue("".join(chunk.choices[0].text for chunk in chunks))
        # llama.cpp puts the usage into the last event with a choice here, asked for or not: no event of its own.
        self.assertEqual([chunk for chunk in chunks if not chunk.choices], [])

    def test_streamed_with_usage(self):
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)


@unittest.skipUnless(EMBEDDING, "PORTICO_EMBEDDING_MODEL is not set")
class Embeddings(OpenAI):
    def vectors(self, text, **more):
        return [data.embedding for data in self.client.embeddings.create(model=EMBEDDING, input=text, **more).data]

    def test_several(self):
        vectors = self.vectors(["the sea", "a mountain"])
        self.assertEqual(len(vectors), 2)
        self.assertGreater(len(vectors[0]), 8)
        self.assertNotEqual(vectors[0], vectors[1])

    def test_formats_agree(self):
        """The client asks for base64 by itself, and for numbers only when told."""
        [packed], [plain] = self.vectors("the sea"), self.vectors("the sea", encoding_format="float")
        self.assertEqual(len(packed), len(plain))
        for one, other in zip(packed, plain):
            self.assertAlmostEqual(one, other, places=4)


@unittest.skipUnless(TRANSCRIPTION, "PORTICO_TRANSCRIPTION_MODEL is not set")
class Transcriptions(OpenAI):
    def transcribe(self, seconds=1, name="speech.wav", **more):
        samples = b"\0\0" * 16000 * seconds
        form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
        sound = b"WAVE" + form + b"data" + struct.pack("<I", len(samples)) + samples
        file = (name, b"RIFF" + struct.pack("<I", len(sound)) + sound)
        return self.client.audio.transcriptions.create(**{"model": TRANSCRIPTION, "file": file, **more})

    def test_plain(self):
        self.assertIsInstance(self.transcribe().text, str)

    def test_large(self):
        self.assertIsInstance(self.transcribe(seconds=120).text, str)

    def test_everything(self):
        answer = self.transcribe(name="S\u00e4tze \"1\\2\".wav", language="en", prompt="Names: Portico.\nMore.", temperature=0.2,
                                 response_format="verbose_json", timestamp_granularities=["word", "segment"])
        self.assertIsInstance(answer.text, str)

    def test_subtitles(self):
        for wanted in ("text", "srt", "vtt"):
            self.assertIsInstance(self.transcribe(response_format=wanted), str)

    def test_not_a_sound(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.audio.transcriptions.create(model=TRANSCRIPTION, file=("x.wav", b"#EXTM3U\nhttp://127.0.0.1/"))
        self.assertEqual(caught.exception.param, "file")


class Errors(OpenAI):
    def test_unknown_model(self):
        for stream in (False, True):
            with self.assertRaises(openai.NotFoundError) as caught:
                self.chat(model="no-such-model", stream=stream)
            self.assertEqual((caught.exception.code, caught.exception.type), ("model_not_found", "not_found_error"))
            self.assertTrue(caught.exception.request_id)

    def test_messages_of_the_wrong_type(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages="hello")
        self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_number_of_the_wrong_type(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature="hot")
        self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_no_messages(self):
        with self.assertRaises(openai.BadRequestError):
            self.client.post("/chat/completions", cast_to=object, body={"model": TEXT})

    def test_broken_json(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.post("/chat/completions", cast_to=object, content=b'{"model": "x", ',
                             options={"headers": {"Content-Type": "application/json"}})
        self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_unknown_path(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.post("/no/such/path", cast_to=object, body={})
        self.assertEqual(caught.exception.type, "not_found_error")


if __name__ == "__main__":
    unittest.main()
