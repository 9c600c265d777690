#!/usr/bin/env python3
"""Writes an untrained Qwen3-VL of half a million parameters: the real architecture and the real processor, with a
byte-level BPE tokenizer of its own. Nothing is fetched.

usage: tiny_qwen3vl.py FOLDER          (needs torch, torchvision, transformers 5, pillow)
"""
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

try:
    from transformers import Qwen2VLImageProcessorFast as ImageProcessor
except ImportError:
    from transformers import Qwen2VLImageProcessor as ImageProcessor

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
CORPUS = ("system user assistant You are a helpful assistant. Describe this image. "
          "The quick brown fox jumps over the lazy dog. ")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' or 'image' in c or 'image_url' in c %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' or 'video' in c %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH = 16


def tokenizer(folder):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator([CORPUS] * 50, trainer)
    file = os.path.join(folder, "tokenizer.json")
    made.save(file)
    fast = PreTrainedTokenizerFast(
        tokenizer_file=file, unk_token="<|endoftext|>", eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL)
    fast.chat_template = TEMPLATE
    return fast


def configuration(words):
    number = words.convert_tokens_to_ids
    text = dict(
        vocab_size=(len(words) + 63) // 64 * 64, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=64, max_position_embeddings=4096,
        bos_token_id=number("<|endoftext|>"), eos_token_id=number("<|im_end|>"),
        pad_token_id=number("<|endoftext|>"), tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 5000000.0, "mrope_section": [12, 10, 10],
                         "mrope_interleaved": True})
    vision = dict(
        depth=2, hidden_size=64, intermediate_size=128, num_heads=2, out_hidden_size=64, patch_size=PATCH,
        spatial_merge_size=2, temporal_patch_size=2, num_position_embeddings=256, deepstack_visual_indexes=[0])
    return Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True,
        image_token_id=number("<|image_pad|>"), video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    words = tokenizer(folder)
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(configuration(words)).eval().to(torch.float32)
    model.generation_config.eos_token_id = words.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    image_processor = ImageProcessor(
        patch_size=PATCH, merge_size=2, temporal_patch_size=2, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        size={"shortest_edge": 32 * 32 * 4, "longest_edge": 512 * 512})
    video_processor = Qwen3VLVideoProcessor(patch_size=PATCH, merge_size=2, temporal_patch_size=2)
    Qwen3VLProcessor(image_processor=image_processor, tokenizer=words, video_processor=video_processor,
                     chat_template=TEMPLATE).save_pretrained(folder)
    print("parameters", sum(p.numel() for p in model.parameters()), "vocabulary", len(words), sorted(os.listdir(folder)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
