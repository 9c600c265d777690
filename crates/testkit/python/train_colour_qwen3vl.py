#!/usr/bin/env python3
"""Teaches the model of tiny_qwen3vl.py to name the colours of one or two plain images, on the CPU.

usage: train_colour_qwen3vl.py UNTRAINED_FOLDER TRAINED_FOLDER STEPS      (needs what tiny_qwen3vl.py needs, and numpy)

400 steps get most single colours right; the shipped model had about four minutes of a busy machine with two cores.
"""
import io
import os
import random
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

COLOURS = {
    "red": (220, 20, 20), "green": (20, 180, 20), "blue": (30, 30, 220), "yellow": (240, 220, 20),
    "orange": (245, 140, 20), "purple": (130, 30, 170), "grey": (128, 128, 128), "black": (14, 14, 14),
    "white": (245, 245, 245),
}
SIZES = [(32, 32), (64, 64), (96, 64), (64, 96), (128, 96), (160, 160), (192, 128), (224, 224)]
QUESTIONS = ["What colour is this image?", "What color is this?", "Describe this image.", "Describe the picture.", "colour?"]
# Questions of random words: the answer is to depend on the picture, not on the wording.
WORDS = ("please tell me about this what is in the picture photo now quickly file upload test can you see it "
         "describe colour color image").split()
BATCH = 8
LEARNING_RATE = 3e-3


def picture():
    """A name and an image of that colour, a little off it, a little noisy, at times through JPEG."""
    name = random.choice(list(COLOURS))
    colour = np.clip(np.array(COLOURS[name]) + np.random.randint(-18, 19, 3), 0, 255)
    width, height = random.choice(SIZES)
    pixels = np.ones((height, width, 3)) * colour + np.random.randint(-8, 9, (height, width, 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
    if random.random() < 0.3:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=random.randint(40, 90))
        image = Image.open(file).convert("RGB")
    return name, image


def sample():
    """Images, question, answer."""
    known = random.random()
    question = random.choice(QUESTIONS) if known < 0.6 else " ".join(random.choices(WORDS, k=random.randint(1, 8)))
    kind = random.random()
    if kind < 0.2:
        return [], question if known < 0.5 else random.choice(["hi", "hello", "Who are you?"]), "I see no image."
    if kind < 0.4:
        (first, one), (second, other) = picture(), picture()
        return [one, other], question, f"The images are {first} and {second}."
    name, image = picture()
    return [image], question, f"The image is {name}."


def prompt(processor, images, question):
    content = [{"type": "image"}] * len(images) + [{"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)


def batch(processor):
    """Inputs and labels; only the answers are learned, not the questions."""
    samples = [sample() for _ in range(BATCH)]
    texts = [prompt(processor, images, question) + answer + "<|im_end|>" for images, question, answer in samples]
    images = [image for sample_images, _, _ in samples for image in sample_images]
    inputs = processor(text=texts, images=images or None, return_tensors="pt", padding=True, padding_side="right")
    labels = inputs["input_ids"].clone()
    start = processor.tokenizer.convert_tokens_to_ids("<|im_start|>")
    opening = len(processor.tokenizer("<|im_start|>assistant\n")["input_ids"])
    for index in range(BATCH):
        last = (inputs["input_ids"][index] == start).nonzero()[-1].item()
        labels[index, : last + opening] = -100
    labels[inputs["attention_mask"] == 0] = -100
    return inputs, labels


def train(model, processor, steps):
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    started = time.time()
    for step in range(steps):
        inputs, labels = batch(processor)
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}, {time.time() - started:.1f} s", flush=True)


def accuracy(model, processor, count=60):
    right = 0
    with torch.no_grad():
        for _ in range(count):
            images, question, answer = sample()
            inputs = processor(text=[prompt(processor, images, question)], images=images or None, return_tensors="pt")
            output = model.generate(**inputs, max_new_tokens=24, do_sample=False)
            said = processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
            right += said == answer
    return right, count


def main(source, target, steps):
    torch.set_num_threads(2)
    processor = AutoProcessor.from_pretrained(source)
    model = Qwen3VLForConditionalGeneration.from_pretrained(source).float().train()
    train(model, processor, steps)
    model.eval()
    model.generation_config.do_sample = False
    model.save_pretrained(target)
    processor.save_pretrained(target)
    print("right: %d of %d" % accuracy(model, processor))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
