"""Anthropic's own Python client against a running Portico whose policy.endpoints names messages.

Run as tests/sdk/python/test_openai.py says.
"""
import base64
import os
import unittest

import anthropic

from test_openai import png

URL = os.environ["PORTICO_URL"].rstrip("/")
TEXT = os.environ["PORTICO_TEXT_MODEL"]
VISION = os.environ.get("PORTICO_VISION_MODEL")
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]
GREEDY = {"temperature": 0}
WEATHER = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def image(colour):
    data = base64.b64encode(png(colour)).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


class Anthropic(unittest.TestCase):
    def setUp(self):
        key = os.environ.get("PORTICO_KEY", "none")
        self.client = anthropic.Anthropic(base_url=URL, api_key=key, max_retries=0, timeout=60)
        self.addCleanup(self.client.close)

    def message(self, **more):
        # The newest client has no temperature any more; the API has.
        return self.client.messages.create(**{"model": TEXT, "messages": MESSAGES, "max_tokens": 16, **more})


class Messages(Anthropic):
    def test_whole(self):
        answer = self.message(system="You know the sea.", extra_body=GREEDY)
        self.assertEqual((answer.type, answer.role, answer.model), ("message", "assistant", TEXT))
        self.assertTrue(answer.content[0].text)
        self.assertIn(answer.stop_reason, ("end_turn", "max_tokens"))
        self.assertGreater(answer.usage.output_tokens, 0)
        self.assertLessEqual(answer.usage.output_tokens, 16)

    def test_blocks_and_what_asks_for_nothing(self):
        cached = {"type": "text", "text": "You know the sea.", "cache_control": {"type": "ephemeral"}}
        answer = self.message(system=[cached], metadata={"user_id": "somebody"}, stop_sequences=["\n\n\n"])
        self.assertTrue(answer.content)

    def test_stream(self):
        with self.client.messages.stream(model=TEXT, messages=MESSAGES, max_tokens=16) as stream:
            kinds = [event.type for event in stream]
            answer = stream.get_final_message()
        self.assertEqual((kinds[0], kinds[-1]), ("message_start", "message_stop"))
        self.assertIn("content_block_delta", kinds)
        self.assertTrue(answer.content[0].text)
        self.assertEqual(answer.model, TEXT)
        self.assertGreater(answer.usage.output_tokens, 0)

    def test_stream_and_whole_say_the_same(self):
        with self.client.messages.stream(model=TEXT, messages=MESSAGES, max_tokens=16, extra_body=GREEDY) as stream:
            streamed = "".join(stream.text_stream)
        self.assertEqual(streamed, self.message(extra_body=GREEDY).content[0].text)

    def test_aborted_stream(self):
        with self.client.messages.stream(model=TEXT, messages=MESSAGES, max_tokens=4000) as stream:
            for _, _ in zip(range(3), stream):
                pass
        self.assertTrue(self.message(max_tokens=4).content)

    def test_tools(self):
        messages = MESSAGES + [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain, 4 degrees."}]},
        ]
        answer = self.message(messages=messages, tools=[WEATHER])
        self.assertTrue(answer.content)

    def test_tool_choice(self):
        answer = self.message(tools=[WEATHER], tool_choice={"type": "any"}, max_tokens=100, extra_body=GREEDY)
        for block in answer.content:
            self.assertIn(block.type, ("text", "tool_use"))

    def test_remote_tools_are_refused(self):
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.message(tools=[{"type": "web_search_20250305", "name": "web_search"}])
        self.assertIn("tools[0].type", str(caught.exception) + str(caught.exception.body))

    def test_count_tokens(self):
        counted = self.client.messages.count_tokens(model=TEXT, messages=MESSAGES)
        self.assertGreater(counted.input_tokens, 3)

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.message(model="no-such-model")
        self.assertEqual(caught.exception.body["error"]["type"], "not_found_error")
        with self.assertRaises(anthropic.BadRequestError):
            self.message(extra_body={"temperature": 17})

    def test_async_client(self):
        import asyncio

        async def run():
            key = os.environ.get("PORTICO_KEY", "none")
            async with anthropic.AsyncAnthropic(base_url=URL, api_key=key, max_retries=0, timeout=60) as client:
                async with client.messages.stream(model=TEXT, messages=MESSAGES, max_tokens=8) as stream:
                    return "".join([text async for text in stream.text_stream])

        self.assertTrue(asyncio.run(run()))


@unittest.skipUnless(VISION, "PORTICO_VISION_MODEL is not set")
class Vision(Anthropic):
    def test_colours(self):
        for name, colour in (("red", (220, 20, 20)), ("blue", (30, 30, 220))):
            content = [{"type": "text", "text": "What colour is the image?"}, image(colour)]
            messages = [{"role": "user", "content": content}]
            answer = self.message(model=VISION, messages=messages, extra_body=GREEDY)
            self.assertIn(name, answer.content[0].text)

    def test_an_address_is_refused(self):
        picture = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}}
        with self.assertRaises(anthropic.BadRequestError):
            self.message(model=VISION, messages=[{"role": "user", "content": [picture]}])


if __name__ == "__main__":
    unittest.main()
