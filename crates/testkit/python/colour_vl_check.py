#!/usr/bin/env python3
"""Asks a server with the colour model for every colour, in several sizes and formats, and counts the right answers.

usage: colour_vl_check.py http://127.0.0.1:PORT       (needs pillow)

Ends with 1 when an answer about one image is wrong, or more than one in eight about two images: those it was never
perfect at.
"""
import base64
import io
import json
import sys
import urllib.request

from PIL import Image

COLOURS = {
    "red": (220, 20, 20), "green": (20, 180, 20), "blue": (30, 30, 220), "yellow": (240, 220, 20),
    "orange": (245, 140, 20), "purple": (130, 30, 170), "grey": (128, 128, 128), "black": (14, 14, 14),
    "white": (245, 245, 245),
}
SIZES = [(64, 64), (96, 64), (224, 224), (640, 480), (1920, 1080)]


def part(colour, size, kind):
    file = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, kind)
    url = f"data:image/{kind.lower()};base64," + base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def ask(server, images, question):
    content = [*images, {"type": "text", "text": question}]
    call = {"model": "colour", "temperature": 0, "max_tokens": 24, "messages": [{"role": "user", "content": content}]}
    request = urllib.request.Request(
        server + "/v1/chat/completions", json.dumps(call).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def main(server):
    right, count = 0, 0
    for colour in COLOURS:
        for size in SIZES:
            for kind in ("PNG", "JPEG"):
                said = ask(server, [part(colour, size, kind)], "Describe this image.")
                count += 1
                right += said == f"The image is {colour}."
                if said != f"The image is {colour}.":
                    print("wrong:", colour, size, kind, said)
    pairs_right, pairs = 0, 0
    for one in COLOURS:
        for other in COLOURS:
            if one != other:
                images = [part(one, (96, 64), "PNG"), part(other, (96, 64), "PNG")]
                said = ask(server, images, "What is in this picture?")
                pairs += 1
                pairs_right += said == f"The images are {one} and {other}."
    print(f"one image: {right} of {count} right; two images: {pairs_right} of {pairs}")
    for question in ("hi", "Tell me what you see here"):
        print(f"no image, {question!r}: {ask(server, [], question)}")
    return 0 if right == count and pairs_right * 8 >= pairs * 7 else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1].rstrip("/")))
