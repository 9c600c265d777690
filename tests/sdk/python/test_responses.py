"""OpenAI's Responses through its own client, against a running Portico whose policy.endpoints names responses.

Run as tests/sdk/python/test_openai.py says.
"""
import unittest

import openai

from test_openai import RED, TEXT, VISION, OpenAI

INPUT = "Tell me about the sea."
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Responses(OpenAI):
    def response(self, **more):
        return self.client.responses.create(**{"model": TEXT, "input": INPUT, "max_output_tokens": 16, **more})

    def test_whole(self):
        answer = self.response(instructions="You know the sea.")
        self.assertEqual((answer.object, answer.model), ("response", TEXT))
        self.assertTrue(answer.output_text)
        self.assertGreater(answer.usage.input_tokens, 0)
        self.assertLessEqual(answer.usage.output_tokens, 16)

    def test_stream(self):
        events = list(self.response(stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertIn(events[-1].type, ("response.completed", "response.incomplete"))
        self.assertEqual(events[-1].response.model, TEXT)
        self.assertGreater(events[-1].response.usage.output_tokens, 0)
        self.assertTrue("".join(event.delta for event in events if event.type == "response.output_text.delta"))

    def test_a_conversation_is_sent_back(self):
        first = self.response()
        history = [{"role": "user", "content": INPUT}]
        history += [item.model_dump(exclude_none=True) for item in first.output]
        history += [{"role": "user", "content": [{"type": "input_text", "text": "Go on."}]}]
        self.assertTrue(self.response(input=history).output_text)

    def test_functions(self):
        history = [
            {"role": "user", "content": "How is the weather in Oslo?"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "Rain, 4 degrees."},
        ]
        self.assertTrue(self.response(input=history, tools=[WEATHER], max_output_tokens=32).output)

    def test_what_others_could_read_is_refused(self):
        refused = ({"previous_response_id": "resp_1"}, {"background": True}, {"tools": [{"type": "web_search"}]})
        for more in refused:
            with self.subTest(more), self.assertRaises(openai.BadRequestError):
                self.response(**more)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve("resp_1")

    @unittest.skipUnless(VISION, "PORTICO_VISION_MODEL is not set")
    def test_image(self):
        content = [
            {"type": "input_text", "text": "What colour is the image?"},
            {"type": "input_image", "image_url": RED["image_url"]["url"]},
        ]
        answer = self.response(model=VISION, input=[{"role": "user", "content": content}], temperature=0)
        self.assertIn("red", answer.output_text)


if __name__ == "__main__":
    unittest.main()
