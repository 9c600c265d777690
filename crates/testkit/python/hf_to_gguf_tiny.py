#!/usr/bin/env python3
"""llama.cpp's own converter, for a tokenizer it does not know: the model's BPE is home-made, and is declared to be
split as GPT-2's.

usage: hf_to_gguf_tiny.py LLAMA_CPP_FOLDER MODEL_FOLDER OUT.gguf [--mmproj]

LLAMA_CPP_FOLDER is llama.cpp's source with convert_hf_to_gguf.py, conversion/ and gguf-py/. Needs torch and transformers.
With --mmproj the vision part is written, without it the language part; both are needed.
"""
import os
import runpy
import sys


def main(root, model, out, options):
    sys.path[:0] = [root, os.path.join(root, "gguf-py")]
    from conversion import base

    for name in dir(base):
        kind = getattr(base, name)
        if isinstance(kind, type) and "get_vocab_base_pre" in kind.__dict__:
            kind.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    sys.argv = ["convert", model, "--outfile", out, "--outtype", "f16", *options]
    runpy.run_path(os.path.join(root, "convert_hf_to_gguf.py"), run_name="__main__")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:4], sys.argv[4:])
